"""Trains the digits example model and writes everything in this folder that isn't code.

    python train.py [FOLDER]

Needs torch and scikit-learn; scikit-learn carries the pictures, so nothing is downloaded. Runs in
half a minute on one core, always with the same result on the same versions.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

HELD_OUT = 360  # the last ones: mostly writers that training has not seen
EPOCHS = 80


class Digits(nn.Module):
    """Pictures of 8x8 grey values in 0..1 in, one probability per digit out."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 2 * 2, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.logits(images), dim=1)


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture moved by at most one pixel each way, so that position matters less."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows = torch.randint(0, 3, (len(images),), generator=generator).tolist()
    columns = torch.randint(0, 3, (len(images),), generator=generator).tolist()
    return torch.stack(
        [p[:, r : r + 8, c : c + 8] for p, r, c in zip(padded, rows, columns, strict=True)]
    )


def train(images: torch.Tensor, labels: torch.Tensor) -> Digits:
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            optimizer.zero_grad()
            answers = model.logits(shifted(images[batch], generator))
            nn.functional.cross_entropy(answers, labels[batch], label_smoothing=0.05).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def save(model: nn.Module, path: pathlib.Path) -> None:
    """TorchScript without the debug records, which hold paths of this machine's source files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(model).save(str(path))
    reader = torch._C.PyTorchFileReader(str(path))
    records = {
        name: reader.get_record(name)
        for name in reader.get_all_records()
        if name.startswith(("data", "code/", "constants")) and not name.endswith(".debug_pkl")
    }
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, data in records.items():
        writer.write_record(name, data, len(data))
    writer.write_end_of_file()


def request(images: torch.Tensor) -> dict[str, object]:
    return {
        "inputs": [
            {
                "name": "images",
                "datatype": "FP32",
                "shape": list(images.shape),
                "data": images.flatten().tolist(),
            }
        ]
    }


def main() -> None:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    images = torch.from_numpy(digits.images.astype(np.float32) / 16).unsqueeze(1)
    labels = torch.from_numpy(digits.target)

    model = train(images[:-HELD_OUT], labels[:-HELD_OUT])
    held_out, answers = images[-HELD_OUT:], labels[-HELD_OUT:]
    with torch.no_grad():
        accuracy = (model(held_out).argmax(1) == answers).float().mean().item()
    print(f"held-out accuracy: {accuracy:.1%} of {HELD_OUT}")

    save(model, folder / "digits.pt")
    np.save(folder / "heldout_images.npy", held_out.numpy())
    np.save(folder / "heldout_labels.npy", answers.numpy().astype(np.int64))
    np.save(folder / "sample.npy", held_out[:8].numpy())
    (folder / "request.json").write_text(json.dumps(request(held_out[:1])) + "\n")


if __name__ == "__main__":
    main()
