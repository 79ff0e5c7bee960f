"""Search in two processes: rank 0 decides the mask, and differences are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROCESS = """
import sys
import torch, torch.distributed as dist
from torch import nn
import gentickets
from gentickets.loops.processes import require_equal, sha256_of
rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
data = torch.utils.data.TensorDataset(torch.randn(32, 6, generator=torch.Generator().manual_seed(1)))
sampler = torch.utils.data.DistributedSampler(data, num_replicas=2, rank=rank)
loader = torch.utils.data.DataLoader(data, batch_size=4, sampler=sampler)

def searched(net, model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    search = gentickets.Search(model, optimizer, rounds=2, keep=0.5, rewind_to=2)
    seen = {}
    for round in search:
        for step, (x,) in round.steps(loader, total=8):
            seen.setdefault(round.number, []).append(x.sum().item())
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
    assert seen[1] == seen[2] == seen[0][2:], "the batches of the dense round"
    require_equal(sha256_of(search.masks[2]), "masks")
    print(sha256_of(search.masks[2]))

def network(width=12):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 6))

torch.manual_seed(0)
net = network()
searched(net, nn.parallel.DistributedDataParallel(net))
torch.manual_seed(rank)
net = network()
searched(net, net)
try:
    searched(net, network(12 + rank))
except gentickets.TicketError as error:
    print(error)
dist.destroy_process_group()
"""


def test_two_processes_hold_the_mask_of_the_first_or_end_in_a_sentence(tmp_path: Path) -> None:
    """Under DDP; with unlike networks, which would choose unlike masks; and with networks of other shapes."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "store")], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    (out, error), (out_1, error_1) = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], error + error_1
    assert out == out_1
    ddp, apart, said = out.splitlines()
    assert ddp != apart
    assert said == "processes hold different prunable weights: rank 1 differs from rank 0"
