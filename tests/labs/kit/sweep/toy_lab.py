"""A lab without minigrad, that a sweep runs in no time: it writes what the folder of a run holds, or ends otherwise."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from kit.lab_parser import LabParser


def main(argv: list[str] | None = None) -> int:
    parser = LabParser()
    parser.lab = "toy"
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--name", default="toy")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1])
    parser.add_argument("--end", choices=("well", "error", "exit", "kill", "wait"), default="well")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--data")
    if os.environ.get("TOY_RESUMES"):
        parser.add_argument("--resume", type=Path)
    args = parser.parse_args(argv)
    again = getattr(args, "resume", None)
    if args.end == "exit":
        print("no data\nerror: put them there")
        return 3
    folder = again or args.out / f"{len(list(args.out.glob('0*'))) + 1:03d}-toy"
    folder.mkdir(exist_ok=True)
    config = {"name": "toy", "environment": {}, "lr": args.lr, "threads": os.environ["OMP_NUM_THREADS"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "experiment_template.json").write_text(json.dumps(args.template))
    (folder / "history.csv").write_text("epoch,loss\n1,1.0\n2,0.5\n")
    print(f"data: {args.data}, resumed: {again is not None}", flush=True)
    if args.end == "error":
        raise RuntimeError("boom")
    if args.end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    status = "finished"
    if args.end == "wait" and again is None:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            status = "interrupted"
    results = {"test_accuracy": 1 - args.lr}
    (folder / "summary.json").write_text(json.dumps({"status": status, "results": results, "notices": ["Stopped"]}))
    return 0 if status == "finished" else 130


if __name__ == "__main__":
    sys.exit(main())
