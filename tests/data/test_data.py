"""Data: splits that never move, batches that follow from (seed, step) alone, and files of every kind."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from gentickets.data import NAMES, Batches, Files, Images, Splits, load, normalize
from gentickets.data.files import find_images, not_plain, place_of, read_image
from gentickets.data.pixels import stratified, with_channels, with_size
from gentickets.datasets import DATASETS
from gentickets.errors import Status, TicketError

PARTS = ("train", "valid", "test")


def numbered(n: int) -> Images:
    """n images of one pixel whose value is their number."""
    return Images(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1))


def write_folder(folder: Path, n: int = 60, size: int = 9) -> list[str]:
    """n small PNG files of noise in two subfolders; their relative names."""
    noise = np.random.default_rng(0)
    names = [f"{'ab'[k % 2]}/{k:03d}.png" for k in range(n)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (size, size + 2, 3), dtype=np.uint8)).save(folder / name)
    return names


def write_idx(path: Path, values: np.ndarray) -> None:
    """A file in MNIST's format: magic number with the dimensions, their lengths, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">{1 + values.ndim}i", 0x0800 + values.ndim, *values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def write_mnist(root: Path, name: str = "mnist", n: int = 40) -> np.ndarray:
    """n training and 20 test images in MNIST's format; the training images."""
    noise = np.random.default_rng(1)
    raw = root / DATASETS[name].folder
    for part, count in (("t10k", 20), ("train", n)):
        images = noise.integers(0, 256, (count, 28, 28))
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return images


def error_of(**keywords: object) -> str:
    """The sentence with which `load` refuses."""
    with pytest.raises(TicketError) as caught:
        load(**keywords)  # type: ignore[arg-type]
    assert caught.value.status == Status.REQUEST
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- digits


def test_digits_have_the_stated_sizes_shape_and_source() -> None:
    splits = load("digits")
    assert [getattr(splits, part).n for part in PARTS] == [1000, 297, 500]
    assert splits.image == (1, 8, 8)
    assert splits.classes == 10
    for word in ("scikit-learn", "UCI", "Alpaydin & Kaynak 1998", "CC BY 4.0"):
        assert word in splits.source


def test_digits_are_stratified_to_one_image() -> None:
    splits = load("digits")
    labels = {part: getattr(splits, part).labels for part in PARTS}
    whole = torch.bincount(torch.cat(list(labels.values())))
    assert whole.sum() == 1797
    for values in labels.values():
        assert (torch.bincount(values) - whole * len(values) / 1797).abs().max() <= 1.5  # two roundings


def test_digits_splits_share_no_image() -> None:
    splits = load("digits")
    seen = [{image.numpy().tobytes() for image in getattr(splits, part).source} for part in PARTS]
    assert [len(images) for images in seen] == [1000, 297, 500]
    assert len(set.union(*seen)) == 1797


def test_digits_equal_the_ones_that_scikit_learn_loads() -> None:
    from sklearn.datasets import load_digits

    reference = load_digits()
    known = {
        np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes(): label
        for image, label in zip(reference.images, reference.target, strict=True)
    }
    splits = load("digits")
    for part in PARTS:
        images = getattr(splits, part)
        for image, label in zip(images.source, images.labels, strict=True):
            assert known[image.numpy().tobytes()] == label


def test_digits_split_is_the_same_for_ever() -> None:
    # Written down when it was made: a change here changes every published figure.
    assert load("digits").fingerprints == {
        "train": "d0ac03ae0bdcc16a",
        "valid": "3cba95947edd0304",
        "test": "effaf68a16460bf0",
    }


def test_valid_changes_training_images_and_leaves_the_test_part_alone() -> None:
    usual, other = load("digits"), load("digits", valid=100)
    assert (other.train.n, other.valid.n) == (1197, 100)
    assert other.test.fingerprint == usual.test.fingerprint
    assert "valid is 1297; digits has 1297 training images" in error_of(name="digits", valid=1297)


def test_stratified_gives_the_largest_remainders_by_hand() -> None:
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    chosen, rest = stratified(labels, torch.arange(10), 4, "hand")
    # Shares of 4 are 2.0, 1.2 and 0.8: two, one and (largest remainder) one.
    assert torch.bincount(labels[chosen]).tolist() == [2, 1, 1]
    assert sorted([*chosen.tolist(), *rest.tolist()]) == list(range(10))
    other, _ = stratified(labels.repeat(9), torch.arange(90), 36, "another purpose")
    again, _ = stratified(labels.repeat(9), torch.arange(90), 36, "hand")
    assert not torch.equal(other, again)


# --- values


def test_normalize_is_exact_at_the_ends_symmetric_and_within_an_eps_of_float64() -> None:
    values = normalize(torch.arange(256, dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert (values[0], values[255]) == (-1.0, 1.0)
    assert torch.equal(values, -values.flip(0))
    assert (values.double() - (torch.arange(256).double() / 127.5 - 1)).abs().max() < torch.finfo(torch.float32).eps


def test_batches_lie_between_minus_one_and_one_and_use_the_range() -> None:
    batch = Batches(load("digits").train, 64, seed=0)(3)
    assert batch.dtype == torch.float32
    assert batch.shape == (64, 1, 8, 8)
    assert (batch.min(), batch.max()) == (-1.0, 1.0)


def test_batch_gathers_the_asked_images_in_their_order() -> None:
    images = load("digits").train
    asked = torch.tensor([7, 3, 7])
    assert torch.equal(images.batch(asked), normalize(images.source[asked]))


def test_chunks_and_all_show_every_image_in_order() -> None:
    images = numbered(10)
    chunks = list(images.chunks(4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]
    assert torch.equal(torch.cat(chunks), normalize(images.source))
    assert torch.equal(images.all(), normalize(images.source))
    with pytest.raises(TicketError, match="chunk holds 0 images"):
        next(images.chunks(0))


def test_grey_equals_pillows_and_rgb_repeats() -> None:
    noise = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grey = with_channels(noise, 1)
    for image, mine in zip(noise, grey, strict=True):
        theirs = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(mine[0].numpy(), theirs)
    assert torch.equal(with_channels(grey, 3), grey.repeat(1, 3, 1, 1))


def test_resizing_agrees_with_pillow_to_one_level() -> None:
    noise = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for size in (12, 28, 32):
        mine = with_size(noise, size)
        assert (mine.dtype, mine.shape) == (torch.uint8, (3, 1, size, size))
        for image, resized in zip(noise, mine, strict=True):
            pillow = Image.fromarray(image[0].numpy()).resize((size, size), Image.Resampling.BILINEAR)
            assert np.abs(np.asarray(pillow).astype(int) - resized[0].numpy().astype(int)).max() <= 1


def test_size_and_channels_of_the_recipe_are_obeyed() -> None:
    splits = load("digits", size=12, channels="rgb")
    assert splits.image == (3, 12, 12)
    assert splits.train.source.dtype == torch.uint8
    assert splits.fingerprint != load("digits").fingerprint


# --- the batch of a step


def test_each_epoch_visits_every_image_once() -> None:
    batches = Batches(numbered(24), 6, seed=5)
    for epoch in range(3):
        seen = torch.cat([batches.indices(step) for step in range(4 * epoch, 4 * epoch + 4)])
        assert sorted(seen.tolist()) == list(range(24))


def test_epoch_with_a_rest_visits_no_image_twice_and_the_rest_changes() -> None:
    batches = Batches(numbered(25), 6, seed=5)
    assert batches.per_epoch == 4
    left_out = []
    for epoch in range(6):
        seen = torch.cat([batches.indices(step) for step in range(4 * epoch, 4 * epoch + 4)]).tolist()
        assert len(set(seen)) == 24
        left_out.append((set(range(25)) - set(seen)).pop())
    assert len(set(left_out)) > 1


def test_batch_follows_from_seed_and_step_in_any_order() -> None:
    forward = Batches(numbered(24), 6, seed=5)
    expected = [forward(step) for step in range(12)]
    backward = Batches(numbered(24), 6, seed=5)
    for step in reversed(range(12)):
        assert torch.equal(backward(step), expected[step])


def test_another_seed_and_another_epoch_give_other_batches() -> None:
    images = numbered(24)
    first = Batches(images, 6, seed=5)
    assert not torch.equal(first(0), Batches(images, 6, seed=6)(0))
    assert not torch.equal(first(0), first(4))


def test_stream_started_half_way_gives_the_same_batches() -> None:
    batches = Batches(numbered(24), 6, seed=5)
    whole = list(batches.stream(range(20)))
    half = list(Batches(numbered(24), 6, seed=5).stream(range(7, 20)))
    assert len(half) == 13
    assert all(torch.equal(a, b) for a, b in zip(whole[7:], half, strict=True))


def test_batches_never_touch_the_global_random_state(tmp_path: Path) -> None:
    names = write_folder(tmp_path, 8)
    before = torch.get_rng_state()
    list(Batches(Images(Files(tmp_path, tuple(names), 3, 8)), 4, seed=0, workers=1).stream(range(2)))
    Batches(load("digits").train, 4, seed=0)(0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("batch_size", "workers", "words"),
    [(25, 0, "batch_size is 25, but there are only 24"), (0, 0, "batch_size is 0"), (4, -1, "workers is -1")],
)
def test_impossible_batches_are_refused(batch_size: int, workers: int, words: str) -> None:
    with pytest.raises(TicketError, match=words):
        Batches(numbered(24), batch_size, seed=0, workers=workers)


def test_negative_step_is_refused() -> None:
    with pytest.raises(TicketError, match="no step -1"):
        Batches(numbered(24), 6, seed=0)(-1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_batches_equal_those_of_the_cpu_bit_for_bit(tmp_path: Path) -> None:
    on_cpu, on_cuda = (Batches(load("digits", device=d).train, 64, seed=3) for d in ("cpu", "cuda"))
    files = Files(tmp_path, tuple(write_folder(tmp_path, 8)), 3, 8)
    streamed, pinned = (Batches(Images(files, device=d), 4, seed=3, workers=1) for d in ("cpu", "cuda"))
    for cpu, cuda in ((on_cpu, on_cuda), (streamed, pinned)):
        for ours, theirs in zip(cpu.stream(range(4)), cuda.stream(range(4)), strict=True):
            assert theirs.is_cuda
            assert torch.equal(ours, theirs.cpu())


# --- a folder of images


def test_streamed_batches_equal_those_in_memory_for_any_number_of_workers_and_start(tmp_path: Path) -> None:
    write_folder(tmp_path)
    held = load("folder", folder=tmp_path, size=8)
    streamed = load("folder", folder=tmp_path, size=8, in_memory=0)
    assert (held.train.streams, streamed.train.streams, streamed.test.streams) == (False, True, True)
    assert held.fingerprints == streamed.fingerprints
    expected = list(Batches(held.train, 5, seed=1).stream(range(3, 14)))
    for workers in (0, 1, 2):
        batches = Batches(streamed.train, 5, seed=1, workers=workers)
        got = list(batches.stream(range(3, 14)))
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
        assert torch.equal(batches(5), expected[2])
    assert torch.equal(torch.cat(list(streamed.test.chunks(2, workers=2))), held.test.all())


def test_what_fits_is_held_in_memory_and_evaluation_comes_first(tmp_path: Path) -> None:
    write_folder(tmp_path)
    sizes = [getattr(load("folder", folder=tmp_path, size=8), part).source.numel() for part in PARTS]
    for room, streams in (
        (sum(sizes), [False, False, False]),
        (sum(sizes) - 1, [True, False, False]),  # training images alone would fit
        (sizes[2], [True, True, False]),
    ):
        splits = load("folder", folder=tmp_path, size=8, in_memory=room)
        assert [getattr(splits, part).streams for part in PARTS] == streams


def test_closing_a_stream_early_ends_its_workers(tmp_path: Path) -> None:
    import multiprocessing

    files = Files(tmp_path, tuple(write_folder(tmp_path, 8)), 3, 8)
    stream = Batches(Images(files), 2, seed=0, workers=2).stream(range(50))
    next(stream)
    assert multiprocessing.active_children()
    stream.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_folder_is_split_by_name_so_that_new_files_move_no_others(tmp_path: Path) -> None:
    names = write_folder(tmp_path, 60)

    def parts() -> dict[str, str]:
        splits = load("folder", folder=tmp_path, size=4, in_memory=0)
        return {name: part for part in PARTS for name in getattr(splits, part).source.names}

    before = parts()
    assert sorted(before) == sorted(names)
    for k in range(30):
        Image.new("L", (4, 4)).save(tmp_path / f"new{k}.png")
    (tmp_path / names[0]).unlink()
    after = parts()
    assert len(after) == 89
    assert all(after[name] == part for name, part in before.items() if name != names[0])


def test_places_of_names_are_uniform() -> None:
    places = torch.tensor([place_of(f"images/{k}.jpg") for k in range(5000)])
    assert abs((places < 0.8).float().mean() - 0.8) < 0.02
    assert abs((places >= 0.9).float().mean() - 0.1) < 0.015
    assert place_of("\u00e9.png") == place_of("e\u0301.png")  # one name, as Linux and as macOS spell it


def test_hidden_files_and_other_kinds_are_left_out(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.png", ".hidden.png", ".cache/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert find_images(tmp_path) == ("a/c.png", "b.JPG")


def test_what_is_no_plain_file_is_left_out_by_name(tmp_path: Path) -> None:
    """A pipe would be waited for; a link to nowhere, a loop and a device are no images either."""
    names = write_folder(tmp_path, 60)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nowhere.png").symlink_to("is/not/there.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "again").symlink_to(tmp_path)
    left_out = ("loop.png", "nowhere.png", "pipe.png", "zero.png")
    assert sorted(find_images(tmp_path)) == sorted(names)
    assert not_plain(tmp_path) == left_out
    with pytest.warns(UserWarning, match="'loop.png', 'nowhere.png', 'pipe.png', 'zero.png'"):
        splits = load("folder", folder=tmp_path, size=8)
    assert "left out, as no plain files: 'loop.png'" in splits.source
    for name in left_out:
        with pytest.raises(TicketError, match=f"the image '.*{name}' cannot be read"):
            read_image(tmp_path / name, 4, 1)
        with pytest.raises(TicketError, match=f"the image '.*{name}' cannot be read"):
            Files(tmp_path, (name,), 1, 8).fingerprint()


def test_only_pixels_are_decoded_whatever_a_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **more: ran.append(given))
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    Image.new("RGB", (8, 8)).save(tmp_path / "other.ico")
    for name, content in (("eps.png", program), ("ico.jpg", (tmp_path / "other.ico").read_bytes())):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TicketError, match=f"'.*{name}' cannot be read: it holds none of BMP, GIF, JPEG, PNG"):
            read_image(tmp_path / name, 4, 3)
    assert not ran


def test_a_file_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for name, width, height in (("wide.png", 2**26 + 1, 1), ("both.png", 8200, 8200)):
        header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        (tmp_path / name).write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
        )
        with pytest.raises(
            TicketError, match=rf"{name}' cannot be read: it has {width:,} x {height:,} pixels, and at most"
        ):
            read_image(tmp_path / name, 4, 1)


def test_half_transparent_black_becomes_middle_grey_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (5, 7), (0, 0, 0, 128)).save(tmp_path / "rgba.png")
    Image.new("LA", (5, 7), (0, 128)).save(tmp_path / "la.png")
    for name in ("rgba.png", "la.png"):
        for channels in (1, 3):
            pixels = read_image(tmp_path / name, 4, channels)
            assert (pixels.shape, pixels.dtype) == ((channels, 4, 4), np.uint8)
            assert np.unique(pixels).tolist() == [127]


def test_palette_images_show_their_colours_and_their_transparency_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (6, 6), 1)
    image.putpalette([0, 0, 0, 200, 100, 50, 9, 9, 9])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert read_image(tmp_path / "plain.png", 3, 3)[:, 0, 0].tolist() == [200, 100, 50]
    assert read_image(tmp_path / "clear.png", 3, 3)[:, 0, 0].tolist() == [255, 255, 255]


def test_sixteen_bit_greys_are_scaled_not_cut(tmp_path: Path) -> None:
    deep = np.array([[0, 257], [32896, 65535]], dtype=np.uint16)
    for name in ("deep.png", "deep.tiff"):
        Image.fromarray(deep).save(tmp_path / name)
        assert read_image(tmp_path / name, 2, 1)[0].tolist() == [[0, 1], [128, 255]]
    assert read_image(tmp_path / "deep.png", 2, 3)[:, 1, 1].tolist() == [255, 255, 255]


def test_odd_sizes_are_cropped_to_the_middle_square(tmp_path: Path) -> None:
    columns = np.repeat(np.arange(0, 90, 10, dtype=np.uint8)[None], 3, axis=0)  # 9 wide, 3 high
    Image.fromarray(columns).save(tmp_path / "wide.png")
    Image.fromarray(columns.T.copy()).save(tmp_path / "high.png")
    assert read_image(tmp_path / "wide.png", 3, 1)[0, 0].tolist() == [30, 40, 50]
    assert read_image(tmp_path / "high.png", 3, 1)[0, :, 0].tolist() == [30, 40, 50]
    assert read_image(tmp_path / "wide.png", 7, 3).shape == (3, 7, 7)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.array([[10, 20], [30, 40]], dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png", 2, 1)[0].tolist() == [[40, 30], [20, 10]]


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "float"])
def test_unreadable_image_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("bad.tiff" if kind == "float" else "bad.png")
    if kind == "float":
        Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    else:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)).save(path)
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"no image", "cut": whole[: len(whole) // 2]}[kind])
    with pytest.raises(TicketError, match=r"the image '.*bad\.(png|tiff)' cannot be read: "):
        read_image(path, 4, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_image_is_named_while_streaming(tmp_path: Path, workers: int) -> None:
    names = write_folder(tmp_path, 8)
    (tmp_path / names[3]).write_bytes(b"no image")
    batches = Batches(Images(Files(tmp_path, tuple(names), 3, 8)), 4, seed=0, workers=workers)
    with pytest.raises(TicketError) as caught:
        list(batches.stream(range(2)))
    assert str(caught.value).startswith(f"the image '{tmp_path / names[3]}' cannot be read")
    assert "\n" not in str(caught.value)


def test_folder_requests_that_cannot_be_met_are_refused(tmp_path: Path) -> None:
    assert "needs the key 'folder'" in error_of(name="folder", size=8)
    assert "needs the key 'size'" in error_of(name="folder", folder=tmp_path)
    assert f"no folder '{tmp_path / 'x'}'" in error_of(name="folder", folder=tmp_path / "x", size=8)
    assert "holds no images" in error_of(name="folder", folder=tmp_path, size=8)
    assert "'valid' cannot be chosen" in error_of(name="folder", folder=tmp_path, size=8, valid=3)
    write_folder(tmp_path, 2)
    few = error_of(name="folder", folder=tmp_path, size=8)
    assert "of 2 images" in few
    assert "50 images or more" in few


# --- torchvision's data


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_idx_files_are_read_and_validation_is_held_out_of_training(tmp_path: Path, name: str) -> None:
    images = write_mnist(tmp_path, name)
    splits = load(name, root=tmp_path, valid=10)
    assert [getattr(splits, part).n for part in PARTS] == [30, 10, 20]
    assert (splits.image, splits.classes) == ((1, 28, 28), 10)
    assert torch.bincount(splits.valid.labels).tolist() == [1] * 10
    both = [image.numpy().tobytes() for part in (splits.train, splits.valid) for image in part.source]
    assert sorted(both) == sorted(image.astype(np.uint8).tobytes() for image in images)


def test_usual_validation_part_asks_for_more_images_than_there_are(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    assert "valid is 5000; mnist has 40 training images" in error_of(name="mnist", root=tmp_path)


@pytest.mark.parametrize("name", [name for name, row in DATASETS.items() if row.reader])
def test_missing_data_names_folder_files_and_the_way_to_fetch_them(tmp_path: Path, name: str) -> None:
    text = error_of(name=name, root=tmp_path)
    known = DATASETS[name]
    assert str(tmp_path / known.folder) in text
    assert all(file in text for file in known.files)
    assert "none of them is there" in text
    assert "--download" in text


def test_every_dataset_is_read_by_torchvision_or_by_a_reader_of_its_own() -> None:
    import torchvision.datasets

    own = {name for name, row in DATASETS.items() if not row.reader}
    assert own == {"digits", "folder"}
    for row in DATASETS.values():
        assert row.source
        assert not row.reader or (hasattr(torchvision.datasets, row.reader) and row.files)


def test_default_root_is_data_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "data" / "MNIST" / "raw") in error_of(name="mnist")
    write_mnist(tmp_path / "data")
    assert load("mnist", valid=10).train.n == 30


def test_one_missing_file_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    assert "; t10k-labels-idx1-ubyte missing; --download" in error_of(name="mnist", root=tmp_path)


def test_some_of_the_cifar_batches_are_not_enough(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_4", "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"")
    text = error_of(name="cifar10", root=tmp_path)
    assert "data_batch_2, data_batch_3, data_batch_5 missing" in text
    assert "only 2 of the five training batches are there, and all five are needed" in text


@pytest.mark.parametrize("damage", ["cut", "empty", "labels"])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    write_mnist(tmp_path)
    raw = tmp_path / "MNIST/raw"
    if damage == "labels":
        write_idx(raw / "train-labels-idx1-ubyte", np.zeros(39))
        assert "40 images and 39 labels" in error_of(name="mnist", root=tmp_path)
        return
    whole = (raw / "train-images-idx3-ubyte").read_bytes()
    (raw / "train-images-idx3-ubyte").write_bytes(whole[:1000] if damage == "cut" else b"")
    assert "damaged or cut short" in error_of(name="mnist", root=tmp_path)


def test_changed_cifar_files_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    harmful = b"cbuiltins\nexec\n(S'import pathlib; pathlib.Path(\"ran\").touch()'\ntR."
    for name in DATASETS["cifar10"].files:
        (folder / name).write_bytes(harmful)
    assert "CIFAR10" in error_of(name="cifar10", root=tmp_path)
    assert not Path("ran").exists()


def test_cifar_batches_are_read_as_colour_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)  # the real files' checksums
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    noise = np.random.default_rng(2)
    batches = [noise.integers(0, 256, (10, 3072), dtype=np.uint8) for _ in range(6)]
    for name, data in zip([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"], batches, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(10))}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    splits = load("cifar10", root=tmp_path, valid=10)
    assert [getattr(splits, part).n for part in PARTS] == [40, 10, 10]
    assert torch.equal(splits.test.source, torch.from_numpy(batches[5]).view(-1, 3, 32, 32))
    assert torch.bincount(splits.valid.labels).tolist() == [1] * 10


def test_celeba_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = error_of(name="celeba", root=tmp_path)
    assert "by hand" in by_hand
    assert "gentickets[celeba]" in by_hand
    from gentickets.data import sets

    monkeypatch.setattr(sets, "find_spec", lambda name: None)
    with pytest.raises(TicketError, match=r"needs gdown: pip install 'gentickets\[celeba\]'"):
        load("celeba", root=tmp_path, download=True)
    assert not any(tmp_path.iterdir()), "nothing was left behind"


def test_celeba_keeps_its_own_parts(tmp_path: Path) -> None:
    images = tmp_path / "celeba" / "img_align_celeba"
    images.mkdir(parents=True)
    lines = []
    for k in range(9):
        Image.new("RGB", (178, 218), (20 * k, 0, 255)).save(images / f"{k:06d}.png")
        lines.append(f"{k:06d}.png {k // 3}")
    partition = images.parent / "list_eval_partition.txt"
    partition.write_text("\n".join(lines) + "\n")
    splits = load("celeba", root=tmp_path)
    assert (splits.image, splits.classes, splits.train.labels) == ((3, 64, 64), None, None)
    for start, part in zip((0, 3, 6), PARTS, strict=True):
        assert getattr(splits, part).source[:, 0, 0, 0].tolist() == [20 * k for k in range(start, start + 3)]
    partition.write_text("000000.png 0\n000001.png x\n")
    assert "line 2 of" in error_of(name="celeba", root=tmp_path)
    partition.write_text("\n".join([*lines, "000009.png 0"]))
    assert "000009.png' cannot be read" in error_of(name="celeba", root=tmp_path)


def test_failed_download_is_one_line_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    def refuse(_: object) -> None:
        raise RuntimeError("Error downloading a.gz:\nTried there, got:\nno network\n")

    monkeypatch.setattr(MNIST, "download", refuse)
    with pytest.raises(TicketError, match=r"MNIST could not be fetched into .*no network") as caught:
        load("mnist", root=tmp_path, download=True)
    assert caught.value.status == Status.FAILED
    assert "\n" not in str(caught.value)


# --- requests, hashes, imports


def test_unknown_names_and_values_are_refused_with_the_nearest(tmp_path: Path) -> None:
    assert "Did you mean 'digits'?" in error_of(name="digit")
    assert "Did you mean 'grey'?" in error_of(name="digits", channels="gray")
    assert "size is 0" in error_of(name="digits", size=0)
    assert "not with 'digits'" in error_of(name="digits", folder=tmp_path)
    assert set(NAMES) == {"digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "celeba", "folder"}


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (torch.zeros(3, 1, 2, 2), None),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), None),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), None),
        (torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(4)),
    ],
)
def test_tensors_that_are_no_images_are_refused(pixels: torch.Tensor, labels: torch.Tensor | None) -> None:
    with pytest.raises(TicketError):
        Images(pixels, labels)


def test_parts_of_unequal_shape_are_refused() -> None:
    small, large = (Images(torch.zeros(2, 1, s, s, dtype=torch.uint8)) for s in (4, 5))
    with pytest.raises(TicketError, match=r"own: test images are \(1, 5, 5\)"):
        Splits("own", small, small, large, None, "made here")


def test_fingerprint_sees_one_pixel_one_label_and_the_order() -> None:
    pixels = torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4)
    labels = torch.tensor([0, 1, 2, 3])
    same = Images(pixels, labels).fingerprint
    assert Images(pixels.clone(), labels.clone()).fingerprint == same
    changed = pixels.clone()
    changed[3, 0, 3, 3] += 1
    others = [Images(changed, labels), Images(pixels, labels.flip(0)), Images(pixels.flip(0), labels)]
    others += [Images(pixels), Images(pixels.view(4, 1, 2, 8), labels)]
    assert len({same, *(images.fingerprint for images in others)}) == 6
    assert len(same) == 16


def test_fingerprint_of_files_sees_names_sizes_and_contents(tmp_path: Path) -> None:
    names = tuple(write_folder(tmp_path, 4))

    def fingerprint(names: tuple[str, ...] = names, size: int = 8) -> str:
        return Images(Files(tmp_path, names, 3, size)).fingerprint

    same = fingerprint()
    others = [fingerprint(names[:3]), fingerprint(size=9)]
    content = (tmp_path / names[1]).read_bytes()
    (tmp_path / names[1]).write_bytes(content[:-1] + b"!")
    others.append(fingerprint())
    (tmp_path / names[1]).write_bytes(content + b"!")
    others.append(fingerprint())
    (tmp_path / names[1]).write_bytes(content)
    assert len({same, *others}) == 5
    assert fingerprint() == same


def test_importing_and_loading_digits_imports_neither_sklearn_nor_torchvision() -> None:
    code = (
        "import sys, gentickets.data as data; data.load('digits');"
        "print([name for name in ('sklearn', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
