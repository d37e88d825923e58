# ruff: noqa: E401, F403, F405, I001, UP010, UP031 (the manners of many PyTorch programs)
"""Train a residual network on small colour images; resume from a checkpoint."""

from __future__ import print_function

import argparse
import os

import numpy as np
import torch, torch.utils.data
import torch.backends.cudnn as cudnn
import torch.nn as nn
import torch.optim as optim
import torchvision.transforms as transforms

from helpers import AverageMeter, accuracy
from models import *

parser = argparse.ArgumentParser(description="a residual network")
parser.add_argument("data", help="an .npz file of images and labels")
parser.add_argument("--weights", help="an .npz file of starting weights")
parser.add_argument("--epochs", default=2, type=int)
parser.add_argument("--lr", default=0.1, type=float)
parser.add_argument("--workers", default=0, type=int)
parser.add_argument("--resume", "-r", action="store_true")
parser.add_argument("--folder", default=".")
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
torch.manual_seed(0)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, path, train, transform=None):
        with np.load(path) as file:
            images, labels = file["images"], file["labels"]
        half = len(images) // 2
        part = slice(0, half) if train else slice(half, None)
        self.images, self.labels, self.transform = images[part], labels[part], transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        if self.transform:
            image = self.transform(image)
        return image, int(self.labels[index])


transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.49, 0.48, 0.45), (0.20, 0.20, 0.20))])
trainset = Pictures(args.data, train=True, transform=transform)
testset = Pictures(args.data, train=False, transform=transform)
options = {"num_workers": args.workers, "pin_memory": device == "cuda"}
trainloader = torch.utils.data.DataLoader(trainset, batch_size=16, shuffle=False, drop_last=True, **options)
testloader = torch.utils.data.DataLoader(testset, batch_size=25, shuffle=False, **options)

net = small_resnet()
if args.weights:
    with np.load(args.weights) as file:
        net.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files})
net = net.to(device)
if device == "cuda":
    net = nn.DataParallel(net)
    cudnn.benchmark = True

criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
start_epoch, best_acc = 0, 0.0
checkpoint_path = os.path.join(args.folder, "ckpt.pth")

if args.resume:
    checkpoint = torch.load(checkpoint_path, map_location=device)
    net.load_state_dict(checkpoint["net"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    start_epoch, best_acc = checkpoint["epoch"] + 1, checkpoint["acc"]

history = []


def train(epoch):
    net.train()
    losses, top1 = AverageMeter(), AverageMeter()
    for inputs, targets in trainloader:
        inputs, targets = inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        outputs = net(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), inputs.size(0))
        top1.update(accuracy(outputs, targets)[0], inputs.size(0))
        history.append(loss.item())
    print("epoch %d: loss %.4f, accuracy %.2f%%" % (epoch, losses.avg, top1.avg))


@torch.no_grad()
def test(epoch):
    global best_acc
    net.eval()
    correct, total = 0, 0
    for inputs, targets in testloader:
        outputs = net(inputs.to(device))
        history.append(criterion(outputs, targets.to(device)).item())
        _, predicted = outputs.max(1)
        total += targets.size(0)
        correct += predicted.eq(targets.to(device)).sum().item()
    acc = 100.0 * correct / total
    history.append(acc)
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "acc": max(acc, best_acc),
        "epoch": epoch,
    }
    torch.save(state, checkpoint_path)
    best_acc = max(acc, best_acc)


for epoch in range(start_epoch, start_epoch + args.epochs):
    train(epoch)
    test(epoch)
    scheduler.step()
