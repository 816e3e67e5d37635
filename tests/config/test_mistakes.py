"""What people type who come from other tools gets an answer that says what to write."""

import pytest

from segtrain.config.mistakes import check_command_line, flags_first
from segtrain.errors import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a run and with images, that we are in."""
    monkeypatch.chdir(tmp_path)
    for folder in ("run/checkpoints", "photos"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a.png").touch()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("root", "typed", "says"),
    [
        ("train", "--model unet", "--model: keys have no dashes before them; write model=unet"),
        ("train", "--max-steps=3", "--max-steps: keys have no dashes before them; write max_steps=3"),
        ("train", "--crf -m", "--crf: keys have no dashes before them; write crf=VALUE"),
        ("train", "unet", "unet: must be of the form key=value; write model=unet"),
        ("train", "photos", "photos: must be of the form key=value; write data=folder data.root=photos"),
        ("train", "run", "run: must be of the form key=value; write resume=run, or init_from=run"),
        ("predict", "run photos", "run: must be of the form key=value; write ckpt=run"),
        ("predict", "ckpt=run photos", "photos: must be of the form key=value; write input=photos"),
        ("predict", "ckpt=run a.png", "a.png: must be of the form key=value; write input=a.png"),
        ("eval", "hf://me/it", "hf://me/it: must be of the form key=value; write ckpt=hf://me/it"),
        ("report", "run", "run: must be of the form key=value; write runs=run"),
        ("import", "a.png", "a.png: must be of the form key=value; write weights=a.png"),
        ("explain", "fcn8s", "fcn8s: must be of the form key=value; write model=fcn8s"),
        ("export", "nothing", "nothing: must be of the form key=value; add = and a value"),
        ("train", "-x model=unet", "-x: no such flag; see --help"),
        ("train", "model=unet --resolve", "--resolve: shows nothing by itself; add --cfg job"),
        ("train", "init_from=", "init_from= is empty; is a variable of the shell not set?; give a value"),
    ],
)
def test_the_message_says_what_to_write(root, typed, says):
    with pytest.raises(InputError) as raised:
        check_command_line(root, typed.split())
    assert str(raised.value).startswith(says)


@pytest.mark.parametrize(
    "typed",
    [
        "--cfg job model=unet",
        "--config-dir . --multirun seed=1,2",
        "-m ~crops +a=b",
        "-cd x -c job --resolve",
        "title=",
    ],
)
def test_what_hydra_knows_passes(typed):
    check_command_line("train", typed.split())


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("data=voc -m model=a,b", "-m data=voc model=a,b"),
        ("a=1 --cfg job ~b --resolve c=2", "--cfg job --resolve a=1 ~b c=2"),
        ("a=1 --cfg=job b=2", "--cfg=job a=1 b=2"),
    ],
)
def test_flags_may_stand_anywhere(typed, parsed):
    assert flags_first(typed.split()) == parsed.split()
