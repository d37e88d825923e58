"""A variational autoencoder of convolutions, with a grid of its reconstructions."""

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F
from torchvision.utils import save_image


class VAE(nn.Module):
    def __init__(self, latent):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 16, 4, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
        )
        self.mu = nn.Linear(16 * 3 * 3, latent)
        self.logvar = nn.Linear(16 * 3 * 3, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 16 * 3 * 3),
            nn.ReLU(True),
            nn.Unflatten(1, (16, 3, 3)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def reparameterize(self, mu, logvar, eps=None):
        std = torch.exp(0.5 * logvar)
        if eps is None:
            eps = torch.randn_like(std)
        return mu + eps * std

    def forward(self, x, eps=None):
        h = self.encoder(x)
        mu, logvar = self.mu(h), self.logvar(h)
        return self.decoder(self.reparameterize(mu, logvar, eps)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x.view(-1, 144), x.view(-1, 144), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def main(images, weights=None, noise=None, epochs=2, picture=None):
    """Losses of the training steps and of a pass without training; `noise`, one array a step, replaces randomness."""
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(images)), batch_size=16, shuffle=noise is None
    )
    model = VAE(latent=4).to(device)
    if weights is not None:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    optimizer = optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.999))
    losses, step = [], 0
    for epoch in range(1, epochs + 1):
        model.train()
        train_loss = 0
        for (data,) in loader:
            data = data.to(device)
            optimizer.zero_grad()
            eps = None if noise is None else torch.from_numpy(noise[step])
            recon_batch, mu, logvar = model(data, eps)
            loss = loss_function(recon_batch, data, mu, logvar)
            loss.backward()
            train_loss += loss.item()
            losses.append(loss.item() / len(data))
            optimizer.step()
            step += 1
        print(f"====> Epoch: {epoch} Average loss: {train_loss / len(loader.dataset):.4f}")

    model.eval()
    with torch.no_grad():
        data = torch.from_numpy(images[:8])
        recon, mu, logvar = model(data, torch.zeros(8, 4))
        losses.append(loss_function(recon, data, mu, logvar).item() / 8)
        sample = model.decoder(torch.zeros(2, 4)).cpu()
        if picture is not None:
            save_image(torch.cat([data, recon.view(8, 1, 12, 12)]), picture, nrow=8)
    return {"losses": losses, "sample": sample.view(-1).tolist(), "mu": mu.tolist()}
