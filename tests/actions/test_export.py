"""Exported networks: rebuilt without gentickets, and as ONNX graphs, they give what the trained ones give."""

from __future__ import annotations

import copy
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from helpers import FAMILY_CASES, HOUSE, OTHER_CASES, call, make_task, recipe_text
from torch import Tensor, nn

from gentickets.actions import export as exported
from gentickets.channels import channel_scores, compact, full_channels, groups_of, keep_channels
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import load_plugins
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.export import BATCH, Part, as_onnx, as_safetensors, parts_of, plain, reader, rebuild
from gentickets.export.described import described
from gentickets.masks import Mask, keep_top, prunable
from gentickets.recipe import load_recipe
from gentickets.runs.formats import read_snapshot, read_ticket, write_snapshot
from gentickets.spectral import settle
from gentickets.tasks import GAN, VAE, Draw, Task
from gentickets.tickets import Snapshot, load_weights, state_of, zeroed

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

CASES = [*FAMILY_CASES, *OTHER_CASES]
ABOUT = {"family": "x", "sparsity": 0.5}
WITHOUT = """
import importlib.util, json, sys
from pathlib import Path

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gentickets", "gentickets_cli", "torch_pruning", "torchvision"):
            raise ImportError(name)

sys.meta_path.insert(0, Forbidden())
folder = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("rebuild", folder / "rebuild.py")
rebuild = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rebuild)
import torch
from safetensors.torch import load_file
torch.set_num_threads(1)
found = {}
for path in sorted(folder.glob("*.json")):
    pairs = load_file(path.with_suffix(".pairs"))
    networks = rebuild.load(path)
    found[path.stem] = {}
    for name, network in networks.items():
        given, wanted = network(pairs[f"{name}/given"]), pairs[f"{name}/wanted"]
        found[path.stem][name] = [float((given - wanted).abs().max()), float(wanted.std()), network.training]
print(json.dumps(found))
"""


def trained(case: str, density: float = 0.5, **changes: object) -> tuple[Task, Mask]:
    """A tiny task with pruned weights, norm statistics and biases as after a training, spectral norms settled."""
    task = make_task(case, **changes)
    mask = looks_trained(task, density)
    return task, mask


def looks_trained(task: Task, density: float) -> Mask:
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in task.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=rng))
            elif value.is_floating_point() and "._" not in name:
                value.add_(0.3 * torch.randn(value.shape, generator=rng))
    weights = {name: weight.detach() for name, weight in prunable(task).items()}
    full = Mask({name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()})
    mask = keep_top({name: weight.abs() for name, weight in weights.items()}, density, within=full, scope="layer")
    load_weights(task, zeroed(state_of(task), mask))
    settle(task)
    return mask


def images() -> Tensor:
    return torch.rand(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1


def parts_in(task: Task) -> dict[str, Part]:
    parts, left_out = parts_of(plain(task), images())
    assert not left_out
    return parts


def put(folder: Path, stem: str, task: Task) -> dict[str, Part]:
    """The files of a task, with inputs and outputs of the task itself beside them."""
    parts = parts_in(task)
    data, told, left_out = as_safetensors(plain(task), parts, ABOUT)
    assert not left_out, "everything that a built-in family offers can be rebuilt"
    (folder / f"{stem}.safetensors").write_bytes(data)
    (folder / f"{stem}.json").write_bytes(told)
    (folder / "rebuild.py").write_bytes(reader())
    pairs: dict[str, Tensor] = {}
    task = copy.deepcopy(task).eval()
    with torch.no_grad():
        for name, part in parts.items():
            (given,) = part.examples(5)
            pairs[f"{name}/given"] = given.clone()
            pairs[f"{name}/wanted"] = by_the_task(task, name, given).clone()
    safetensors.torch.save_file(pairs, folder / f"{stem}.pairs")
    return parts


def by_the_task(task: Task, name: str, given: Tensor) -> Tensor:
    """What a part should give, by the task's own methods."""
    if name == "sampler":
        raw = task.get_submodule("decoder" if isinstance(task, VAE) else "generator")(given)
        found: Tensor = (
            task._image(raw) if isinstance(task, VAE) else raw if isinstance(task, GAN) else raw.clamp(-1, 1)
        )
        return found
    if name == "reconstructor":
        return task.reconstruct(given)
    return task.get_submodule(name)(given)


def without_gentickets(folder: Path) -> dict[str, dict[str, list[Any]]]:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, str(folder)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, dict[str, list[Any]]] = json.loads(ran.stdout)
    return found


def in_onnxruntime(data: bytes, inputs: tuple[Tensor, ...]) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, (value.numpy() for value in inputs), strict=True)))
    return np.asarray(found)


def compacted(case: str) -> Task:
    """A task that has lost half of its channels."""
    task = make_task(case)
    looks_trained(task, 0.9)
    groups = groups_of(task, images())
    full = full_channels(groups)
    kept = keep_channels(channel_scores(task, groups), 0.5, within=full, scope="component", multiple=1, seed=0)
    return compact(task, kept, images())


def test_every_family_is_rebuilt_without_gentickets(tmp_path: Path) -> None:
    offered = {case: put(tmp_path, case, trained(case)[0]) for case in CASES}
    for case in sorted(FAMILY_CASES.keys() - {"tied-mlp"}):  # tied weights keep their channels
        offered[f"compact-{case}"] = put(tmp_path, f"compact-{case}", compacted(case))
    found = without_gentickets(tmp_path)
    assert {case: set(networks) for case, networks in found.items()} == {c: set(parts) for c, parts in offered.items()}
    for case, networks in found.items():
        for name, (off, spread, training) in networks.items():
            assert off <= 1e-6 * max(1.0, 10 * spread), (case, name)
            assert spread > 1e-4, f"{case}, {name}: so constant that any network would do"
            assert training is False


def test_the_offer_follows_from_the_family() -> None:
    offers = {case: set(parts_in(trained(case)[0])) for case in ("ae-mlp", "vae-mlp", "gan-mlp")}
    assert offers == {
        "ae-mlp": {"encoder", "decoder", "reconstructor"},
        "vae-mlp": {"encoder", "decoder", "sampler", "reconstructor"},
        "gan-mlp": {"generator", "discriminator", "sampler"},
    }


@pytest.mark.parametrize("case", ["vae-mlp", "vae-conv", "gan-mlp", "gda"])
def test_sampler_gives_the_images_of_the_task(case: str) -> None:
    task, _ = trained(case)
    task.eval()
    sampler = parts_in(task)["sampler"]
    rng = torch.Generator().manual_seed(1)
    drawn = task.draw(6, torch.Generator().manual_seed(1))
    latent = drawn["noise" if case.startswith("vae") else "latent"]
    with torch.no_grad():
        wanted = task.sample(6, rng)
        assert torch.allclose(sampler.module(latent), wanted, atol=1e-6)
    assert wanted.abs().max() <= 1
    assert [name for name, _ in sampler.takes] == ["latent"]


def test_plain_leaves_the_task_as_it_was() -> None:
    task, _ = trained("gan-sngan")
    task.train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    plain(task)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert task.discriminator(images()).shape == (BATCH, 1), "a copy's classes are the original's"
    assert task.training
    assert all(parameter.requires_grad for parameter in task.parameters())


@pytest.mark.parametrize("old", [False, True])
def test_spectral_norms_are_folded_and_pruned_weights_stay_zero(old: bool) -> None:
    if old:
        layer = nn.utils.spectral_norm(nn.Linear(64, 8))
        task, name = Judge(nn.Sequential(nn.Flatten(), layer)), "judge.1.weight"
    else:
        task, name = make_task("gan-sngan"), "discriminator.0.weight"
    mask = looks_trained(task, 0.5)
    (raw,) = [key for key in mask if key.startswith(name.removesuffix("weight"))]
    weight = prunable(task)[raw].detach()
    sigma = torch.linalg.matrix_norm(weight.flatten(1), 2)
    data, _, _ = as_safetensors(plain(task), parts_of(plain(task), images())[0], ABOUT)
    stored = safetensors.torch.load(data)
    assert not [key for key in stored if "original" in key or key.endswith(("_orig", "_u", "_v"))]
    assert torch.allclose(stored[name], weight / sigma, rtol=5e-3)
    assert bool((stored[name][~mask[raw]] == 0).all())
    assert int((stored[name] == 0).sum()) == mask[raw].numel() - mask.kept_in(raw)
    assert not bool(torch.signbit(stored[name][~mask[raw]]).any()), "pruned is +0.0"


class Judge(Task):
    """A task around one module."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.image, self.judge = (1, 8, 8), judge

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"judge": (batch,)}


class Squared(nn.Linear):
    """A linear layer that is none."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).square()


def hooked() -> nn.Module:
    layer = nn.Linear(64, 2)
    layer.register_forward_hook(lambda module, given, result: result + 1)
    return layer


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Squared(64, 2), "'judge.1' is a Squared, which the reader"),
        (lambda: nn.Bilinear(8, 8, 2), "'judge.1' is a Bilinear, which the reader"),
        (hooked, "'judge.1' has hooks"),
        (lambda: nn.Sequential(nn.Linear(64, 2), nn.Hardtanh(-float("inf"), 1.0)), "has min_val = -inf"),
    ],
)
def test_layers_that_the_reader_does_not_know_are_named(make: Callable[[], nn.Module], told: str) -> None:
    with pytest.raises(TicketError, match=told) as raised:
        described(nn.Sequential(nn.Flatten(), make()), "judge")
    assert raised.value.status == Status.FAILED
    assert "--format onnx" in str(raised.value)


def test_what_a_description_would_change_is_refused() -> None:
    layer = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    layer.forward = lambda x: nn.Sequential.forward(layer, x) + 1  # type: ignore[method-assign]
    task = Judge(layer)
    parts, _ = parts_of(task, images())
    with pytest.raises(TicketError, match="'judge' does more than its layers do"):
        as_safetensors(task, parts, ABOUT)


def test_a_layer_that_is_more_than_its_options_is_refused() -> None:
    layer = nn.Linear(64, 2)
    layer.register_buffer("more", torch.ones(2))
    task = Judge(nn.Sequential(nn.Flatten(), layer))
    with pytest.raises(TicketError, match=r"does not build them again: .*more"):
        as_safetensors(task, parts_of(task, images())[0], ABOUT)


def test_every_layer_that_the_reader_knows_is_described_and_built_again() -> None:
    layers = [
        nn.Conv2d(1, 4, (3, 5), (1, 2), (1, 2), (1, 1), padding_mode="circular"), nn.GroupNorm(2, 4), nn.SiLU(),
        nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False), nn.InstanceNorm2d(4, affine=True), nn.GELU("tanh"),
        nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1), nn.BatchNorm2d(3, eps=1e-3), nn.PReLU(3), nn.ELU(0.5),
        nn.MaxPool2d((2, 1), ceil_mode=True), nn.AvgPool2d(2, count_include_pad=False), nn.Dropout2d(0.3),
        nn.Upsample((6, 6), mode="bilinear", align_corners=True), nn.Upsample(scale_factor=2),
        nn.ReflectionPad2d((1, 0, 2, 1)), nn.AdaptiveAvgPool2d((4, None)), nn.LeakyReLU(0.3), nn.Hardtanh(-2, 3),
        nn.Flatten(2), nn.Unflatten(2, (4, -1)), nn.Flatten(), nn.LazyLinear(6),
        nn.LayerNorm(6, bias=False), nn.Softplus(2, 9), nn.Softmax(1), nn.Mish(),
    ]  # fmt: skip
    network = nn.Sequential(*layers).eval()
    wanted = network(images())
    told = json.loads(json.dumps({"networks": {"net": described(network, "net")}, "chains": {}}))
    state = {f"net.{name}": value for name, value in network.state_dict().items()}
    assert torch.equal(rebuild.assemble(told, state)["net"](images()), wanted)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The description of a small network, beside its tensors."""
    put(tmp_path, "networks", trained("gan-conv-all")[0])
    return tmp_path / "networks.json"


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(format=2), "format 1 or below"),
        (lambda d: d.update(sha256="0"), "damaged, or is not the one"),
        (lambda d: d["networks"]["generator"]["parts"][1].update(kind="Bilinear"), "unknown layer 'Bilinear'"),
        (lambda d: d["networks"]["generator"]["parts"][1].update(kind="__class__"), "unknown layer '__class__'"),
        (lambda d: d["networks"]["generator"]["parts"][1]["options"].update(device="cuda"), "no option 'device'"),
        (lambda d: d["networks"]["generator"]["parts"][1]["options"].update(groups={"a": 1}), "cannot be"),
        (lambda d: d["networks"]["generator"]["parts"].pop(1), "no sound description"),
        (
            lambda d: d["networks"].update(more={"kind": "Linear", "options": {"in_features": 2}}),
            "no sound description",
        ),
        (lambda d: d["chains"].update(more=[{"network": "none"}]), "no sound description"),
        (lambda d: d.pop("networks"), "no sound description"),
    ],
)
def test_the_reader_refuses_what_it_does_not_know(
    change: Callable[[dict[str, Any]], object], told: str, files: Path
) -> None:
    assert rebuild.load(files)
    with pytest.raises(ValueError, match=told):
        rebuild.load(changed(files, change))


def test_the_reader_notices_damage_and_huge_layers_take_no_memory(files: Path) -> None:
    tensors = files.with_suffix(".safetensors")
    sound = tensors.read_bytes()
    tensors.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged"):
        rebuild.load(files)
    tensors.write_bytes(sound)
    huge = {"kind": "Linear", "options": {"in_features": 10**9, "out_features": 10**9}}
    before = torch.random.get_rng_state()
    assert rebuild.load(files)
    assert torch.equal(torch.random.get_rng_state(), before), "layers are built without numbers"
    with pytest.raises(ValueError, match="no sound description"):
        rebuild.load(changed(files, lambda d: d["networks"].update(more=huge)))


def test_the_readers_file_needs_nothing_of_gentickets() -> None:
    text = reader().decode()
    assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(Path(rebuild.__file__).read_bytes()).digest()
    assert not [line for line in text.splitlines() if line.startswith(("from gentickets", "import gentickets"))]


def check_onnx(case: str, names: set[str] | None = None, task: Task | None = None) -> dict[str, bytes]:
    task = trained(case)[0] if task is None else task
    parts, found = parts_in(task), {}
    task = copy.deepcopy(task).eval()
    for name in names or set(parts):
        found[name] = as_onnx(parts[name], {"family": case})
        for n in (1, 4, 7):
            (given,) = parts[name].examples(n)
            with torch.no_grad():
                wanted = by_the_task(task, name, given).numpy()
            assert np.abs(in_onnxruntime(found[name], (given,)) - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
    return found


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("vae-mlp", "sampler"),
        ("ae-maxpool", "reconstructor"),
        ("gan-sngan", "discriminator"),
        ("wgan-gp-resnet", "discriminator"),
        ("gda", "sampler"),
    ],
)
def test_onnx_gives_what_the_task_gives(case: str, name: str) -> None:
    check_onnx(case, {name})


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_onnx_of_every_family(case: str) -> None:
    check_onnx(case)


@pytest.mark.parametrize("case", ["vae-resnet18"])
def test_onnx_of_a_compact_network(case: str) -> None:
    check_onnx(case, {"decoder"}, task=compacted(case))


@pytest.mark.full
@pytest.mark.parametrize("case", sorted(FAMILY_CASES.keys() - {"tied-mlp"}))
def test_onnx_of_every_compact_network(case: str) -> None:
    check_onnx(case, task=compacted(case))


def test_onnx_tells_what_it_is_and_nothing_of_this_machine() -> None:
    task, mask = trained("gan-conv")
    part = parts_in(task)["sampler"]
    data = as_onnx(part, {"family": "gan"})
    model = onnx.load_from_string(data)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert (told["family"], told["part"]) == ("gan", "sampler")
    assert told["takes.latent"].endswith("(n, 4)")
    assert "[-1, 1]" in told["gives.image"]
    assert [one.name for one in model.graph.input] == ["latent"]
    assert data == as_onnx(part, {"family": "gan"}), "equal networks, equal bytes"
    for trace in (".py", "/", "conftest", "Sequential", "aten."):
        assert trace not in str(model.graph.node) + str(model.graph.input) + str(model.metadata_props), trace
    weights = [onnx.numpy_helper.to_array(one) for one in model.graph.initializer]
    zeros = sum(int((weight == 0).sum()) for weight in weights if weight.ndim == 4)
    assert zeros == sum(int((~kept).sum()) for name, kept in mask.items() if name.startswith("generator"))


class Counting(nn.Module):
    """Gives something else at every call, so that no graph is right."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(1) + self.calls


class Fixed(nn.Module):
    """Works for the batch size at hand alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(5, -1) if len(x) == 5 else x.flatten(1)


class Branching(nn.Module):
    """Takes a way that follows from the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.mean() > 0 else x.flatten(1) + 1


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (Counting(), "onnxruntime gives something else for 'odd' than PyTorch, for 1 images"),
        (Fixed(), "onnxruntime cannot run 'odd' on batches of any size"),
        (Branching(), "PyTorch cannot export 'odd' to ONNX"),
    ],
)
def test_a_graph_that_gives_something_else_is_refused(module: nn.Module, told: str) -> None:
    part = Part("odd", module.eval(), (("image", ""),), ("result", ""), lambda n: (images()[:n],))
    with pytest.raises(TicketError, match=told) as raised:
        as_onnx(part, {})
    assert raised.value.status == Status.FAILED
    assert "\n" not in str(raised.value)


def test_a_plugins_networks_are_exported_as_far_as_they_can_be_told() -> None:
    """The diffusion model of the documents: its network in both forms, its sampler (twenty steps) as ONNX."""
    flow = load_plugins([HOUSE / "docs/my_models.py"])["Flow"]
    torch.manual_seed(0)
    task = plain(flow((1, 8, 8), width=16))
    parts, left_out = parts_of(task, images())
    assert (set(parts), left_out) == ({"velocity", "sampler"}, {})
    data, told, left_out = as_safetensors(task, parts, ABOUT)
    assert set(left_out) == {"sampler"}
    rebuilt = rebuild.assemble(json.loads(told), safetensors.torch.load(data))
    (given,) = parts["velocity"].examples(4)
    assert torch.equal(rebuilt["velocity"](given), task.velocity(given))
    noise = task.draw(3, torch.Generator().manual_seed(5))["noise"]
    found = in_onnxruntime(as_onnx(parts["sampler"], {}), (noise,))
    with torch.no_grad():
        assert np.allclose(found, task.sample(3, torch.Generator().manual_seed(5)), atol=1e-4)


class Stray(Judge):
    """Samples from numbers that no draw gives, or from several draws."""

    def __init__(self, draws: int) -> None:
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
        self.draws = draws

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        return Draw(noise=torch.randn(n, 1, 8, 8, generator=rng))

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        noise = sum((self.draw(n, rng)["noise"] for _ in range(self.draws)), torch.zeros(n, 1, 8, 8))
        return noise if self.draws == 2 else noise + torch.rand(n, 1, 8, 8, generator=rng)


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_samples_that_are_no_function_of_one_draw_are_left_out_with_the_reason(draws: int) -> None:
    parts, left_out = parts_of(Stray(draws), images())
    assert set(parts) == {"judge"}
    assert "its samples follow from" in left_out["sampler"]


RECIPE = recipe_text(
    task={"network": "conv", "width": 4, "latent": 2},
    train={"steps": 9, "ema": {"decoder": 0.5}},
    search={"rewind_to": 2},
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rounds of a small run, the decoder averaged; the dense round's trained network is gone."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "small.toml").write_text(RECIPE)
    find(load_recipe(str(folder / "small.toml")), folder / "small", Options(jobs=0, device="cpu"))
    rounds = folder / "small/seed-0/ticket"
    (rounds / "round-00/trained.safetensors").unlink()
    return rounds


@pytest.fixture(scope="module")
def graphs() -> dict[str, bytes]:
    """Part of `small_run`'s last round -> its ONNX file, made once."""
    return {}


@pytest.fixture
def same_graphs(graphs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the fate of files is tested, a graph takes a second: it is not made again."""

    def made_once(part: Part, about: Mapping[str, str]) -> bytes:
        if part.name not in graphs:
            graphs[part.name] = as_onnx(part, about)
        return graphs[part.name]

    monkeypatch.setattr(exported, "as_onnx", made_once)


def test_export_writes_the_averaged_network_with_pruned_zeros(small_run: Path, tmp_path: Path) -> None:
    round = small_run / "round-01"
    ran = call("export", round, "--format", "safetensors", "--out", tmp_path / "new", "--json", "--device", "cpu")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    names = ["networks.safetensors", "rebuild.py", "networks.json"]
    assert [Path(one["file"]).name for one in told["files"]] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    assert set(told["parts"]) == {"encoder", "decoder", "sampler", "reconstructor"}
    stored = safetensors.torch.load_file(tmp_path / "new/networks.safetensors")
    snapshot, _, _ = read_snapshot(round / "trained.safetensors")
    ticket, _ = read_ticket(round / "ticket.safetensors")
    assert torch.equal(stored["decoder.1.weight"], snapshot.ema["decoder.1.weight"])
    assert not torch.equal(stored["decoder.1.weight"], snapshot.weights["decoder.1.weight"])
    assert torch.equal(stored["encoder.0.weight"], snapshot.weights["encoder.0.weight"])
    assert all(bool((stored[name][~kept] == 0).all()) for name, kept in ticket.mask.items())
    description = json.loads((tmp_path / "new/networks.json").read_text())
    assert description["sparsity"] == pytest.approx(1 - ticket.mask.density, abs=1e-6)
    assert description["family"] == "vae"
    assert str(tmp_path.parent) not in json.dumps(description)
    images = rebuild.load(tmp_path / "new/networks.json")["sampler"](torch.randn(3, 2))
    assert images.shape == (3, 1, 8, 8)


def test_export_of_onnx_is_silent_and_checked(small_run: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "gentickets_cli", "export", str(small_run / "round-01"), "--device", "cpu"]
    ran = subprocess.run(
        [*program, "--component", "sampler", "--out", str(tmp_path / "images.onnx")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert " ".join(ran.stdout.split()) == "part takes gives sampler latent (n, 2) image (n, 1, 8, 8)"
    size = (tmp_path / "images.onnx").stat().st_size
    assert ran.stderr == f"{tmp_path / 'images.onnx'}: {size:,} bytes\n"
    found = in_onnxruntime((tmp_path / "images.onnx").read_bytes(), (torch.randn(11, 2),))
    assert found.shape == (11, 1, 8, 8)
    assert np.abs(found).max() <= 1


def test_lean_files_leave_out_what_the_mask_has_cut_off_and_compute_the_same(tmp_path: Path) -> None:
    """An autoencoder without norms at 95 % sparsity: many units have no input, or no output, left."""
    (tmp_path / "small.toml").write_text(
        RECIPE.replace('"vae"', '"ae"').replace('"conv"', '"mlp"').replace("width = 4", "width = 40")
    )
    given = load_recipe(str(tmp_path / "small.toml"), overrides=["search.keep=0.05", "search.scope=layer"])
    find(given, tmp_path / "small", Options(jobs=0, device="cpu"))
    round = tmp_path / "small/seed-0/ticket/round-01"
    made = {}
    for name, more in (("whole", ()), ("lean", ("--lean",))):
        ran = call("export", round, "--format", "safetensors", "--out", tmp_path / name, "--device", "cpu", *more)
        assert ran.exit_code == 0, ran.stderr
        made[name] = rebuild.load(tmp_path / name / "networks.json")
    sizes = {name: (tmp_path / name / "networks.safetensors").stat().st_size for name in made}
    assert sizes["lean"] < 0.9 * sizes["whole"]
    images = torch.rand(5, 1, 8, 8)
    outputs = [one["reconstructor"](images) for one in made.values()]
    assert torch.allclose(*outputs, atol=1e-5)
    assert " kept" in json.loads((tmp_path / "lean/networks.json").read_text())["units"]


@pytest.mark.usefixtures("same_graphs")
def test_nothing_is_overwritten_unless_forced(small_run: Path, tmp_path: Path) -> None:
    words = ("export", small_run / "round-01", "--out", tmp_path / "a.safetensors", "--component", "decoder")
    assert call(*words).exit_code == 0
    again = call(*words)
    assert (again.exit_code, "exists and is not overwritten" in again.stderr) == (2, True)
    assert call(*words, "--force").exit_code == 0
    assert call(*words[:3], tmp_path / "b.safetensors").exit_code == 0, "the reader there is ours"
    (tmp_path / "rebuild.py").write_text("mine = True\n")
    refused = call(*words[:3], tmp_path / "c.safetensors")
    assert (refused.exit_code, "rebuild.py' exists" in refused.stderr) == (2, True)
    assert not (tmp_path / "c.safetensors").exists()
    (tmp_path / "decoder.onnx").write_text("mine")
    assert call(*words[:2], "--out", tmp_path).exit_code == 2
    assert (tmp_path / "decoder.onnx").read_text() == "mine"


def test_no_export_overwrites_what_a_run_rests_on(small_run: Path) -> None:
    round = small_run / "round-01"
    before = {path: path.read_bytes() for path in round.iterdir()}
    for name in ("trained", "ticket", "result"):
        refused = call("export", round, "--force", "--out", round / f"{name}.safetensors")
        assert (refused.exit_code, "which no export overwrites" in refused.stderr) == (2, True), name
    assert {path: path.read_bytes() for path in round.iterdir()} == before


@pytest.mark.usefixtures("same_graphs")
@pytest.mark.parametrize("form", ["onnx", "safetensors"])
def test_an_export_that_was_stopped_goes_on(form: str, small_run: Path, tmp_path: Path) -> None:
    words = ("export", small_run / "round-01", "--format", form, "--out", tmp_path / "out")
    assert call(*words).exit_code == 0
    whole = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    gone, *_, foreign = sorted(path for path in whole if path.suffix != ".py")
    gone.unlink()
    assert call(*words).exit_code == 0
    assert {path: path.read_bytes() for path in whole} == whole
    gone.unlink()
    foreign.write_text("mine")
    assert (call(*words).exit_code, foreign.read_text(), gone.exists()) == (2, "mine", False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--format safetensors --component decodr", "Did you mean 'decoder'?"),
        ("--format safetensors --component sampler", "made of several networks"),
        ("--out a.onnx", "ONNX has a file for each part"),
        ("--out a.onnx --format safetensors", "is no name for --format safetensors"),
        ("--out nowhere/a.safetensors", "no folder 'nowhere'"),
        ("--format torch", "'torch' is not one of"),
    ],
)
def test_wrong_requests_are_told_in_a_line(words: str, told: str, small_run: Path) -> None:
    ran = call("export", small_run / "round-01", *shlex.split(words))
    assert ran.exit_code == 2
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_an_untrained_ticket_is_told_as_sample_tells_it(small_run: Path) -> None:
    exported, sampled = (
        call(command, small_run / "round-00", *more)
        for command, more in (("export", ["--format", "safetensors"]), ("sample", []))
    )
    assert exported.exit_code == sampled.exit_code == 2
    assert exported.stderr == sampled.stderr.replace("gentickets sample", "gentickets export")
    assert "gentickets train" in exported.stderr


def test_the_trained_network_of_another_ticket_is_refused(small_run: Path, tmp_path: Path) -> None:
    round = small_run / "round-01"
    snapshot, _, _ = read_snapshot(round / "trained.safetensors")
    (tmp_path / "ticket.safetensors").write_bytes((round / "ticket.safetensors").read_bytes())
    weights = {name: torch.ones_like(value) for name, value in snapshot.weights.items()}
    write_snapshot(tmp_path / "trained.safetensors", Snapshot(9, weights))
    ran = call("export", tmp_path, "--out", tmp_path / "new", "--format", "safetensors")
    assert ran.exit_code == Status.TICKET
    assert "is not what the ticket beside it grew into" in ran.stderr
    assert not (tmp_path / "new").exists()


def test_missing_packages_are_named_with_what_installs_them(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ran = call("export", small_run / "round-01", "--out", tmp_path / "new")
    assert ran.exit_code == 2
    assert len(ran.stderr.splitlines()) == 1
    assert "package onnxruntime: pip install 'gentickets[onnx]'" in ran.stderr
    assert call("export", small_run / "round-01", "--out", tmp_path / "new", "--format", "safetensors").exit_code == 0


def test_help_answers_without_torch() -> None:
    check = "import gentickets_cli.export, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert "rebuild.py" in call("export", "--help").output
