"""`inglenook model` tells what a file is, or in one sentence why it will not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.models.starter import STARTER
from tests.cli.conftest import Inglenook
from tests.engine.worker.templates import HOPELESS, PICKY
from tests.parts.gguf_files import corrupt_variants, model_bytes, small_model
from tests.parts.prefix_folder import fill


def rows(out: str) -> dict[str, tuple[str, str]]:
    """What `model list` wrote into a pipe: by name, what it is and whether it is in use."""
    split = [line.split("\t") for line in out.splitlines()]
    return {name: (what, used) for name, what, used in split}


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Where the box keeps its models."""
    folder = tmp_path / "state" / "models"
    folder.mkdir(parents=True)
    return folder


def test_without_a_model_it_says_how_to_get_one(inglenook: Inglenook) -> None:
    """On stderr: a script reads no model."""
    ran = inglenook("model")

    assert (ran.returncode, ran.out) == (0, "")
    assert "`inglenook model pull starter`" in ran.err


def test_good_and_bad_files_are_listed(inglenook: Inglenook, models_dir: Path) -> None:
    """Each with what it is, or what is wrong with it."""
    (models_dir / "good.gguf").write_bytes(small_model())
    (models_dir / "bad.gguf").write_bytes(b"<!DOCTYPE html><html>404</html>")

    listed = rows(inglenook("model", "list").out)

    assert list(listed)[:2] == ["bad.gguf", "good.gguf"]
    assert "web page" in listed["bad.gguf"][0]
    assert "Q4_0" in listed["good.gguf"][0]


def test_the_one_in_use_is_marked(inglenook: Inglenook, models_dir: Path, config: Path) -> None:
    """By whatever name the settings call it."""
    (models_dir / "a.gguf").write_bytes(small_model())
    (models_dir / "b.gguf").write_bytes(small_model())
    config.write_text(f"{config.read_text()}model: {{path: state/../state/models/b.gguf}}\n")

    listed = rows(inglenook("model", "list").out)

    assert [used for _what, used in listed.values()] == ["", "in use"]


@pytest.mark.parametrize(("there", "words"), [(True, "Q4_0"), (False, "does not exist")])
def test_the_one_in_use_is_listed_wherever_it_is(
    inglenook: Inglenook, models_dir: Path, config: Path, there: bool, words: str
) -> None:
    """With its whole path; and if it is missing, that is what one wants to know."""
    (models_dir / "a.gguf").write_bytes(small_model())
    elsewhere = models_dir.parent / "elsewhere.gguf"
    if there:
        elsewhere.write_bytes(small_model())
    config.write_text(f"{config.read_text()}model: {{path: {elsewhere}}}\n")

    listed = rows(inglenook("model", "list").out)

    assert list(listed) == ["a.gguf", str(elsewhere)]
    assert words in listed[str(elsewhere)][0]
    assert listed[str(elsewhere)][1] == "in use"


def test_a_model_is_removed_with_what_the_cache_keeps(
    inglenook: Inglenook, models_dir: Path
) -> None:
    """Conversations in numbers are conversations."""
    (models_dir / "old.gguf").write_bytes(small_model())
    (models_dir / "kept.gguf").write_bytes(small_model())
    fill(models_dir.parent / "prefix", "a" * 32, 2, 1024)

    ran = inglenook("model", "rm", "old.gguf")

    assert (ran.returncode, ran.out) == (0, "")
    assert "old.gguf is removed" in ran.err
    assert [path.name for path in models_dir.iterdir()] == ["kept.gguf"]
    assert list((models_dir.parent / "prefix").rglob("*.kv")) == []


@pytest.mark.parametrize("way", ["default", "path", "link"])
def test_the_model_in_use_is_not_removed(
    inglenook: Inglenook, models_dir: Path, config: Path, way: str
) -> None:
    """Whether by default, by path, or through a link."""
    name = STARTER.file_name if way == "default" else "mine.gguf"
    (models_dir / name).write_bytes(small_model())
    if way == "link":
        (models_dir.parent / "link.gguf").symlink_to(models_dir / name)
    path = {"default": "null", "path": f"state/models/{name}", "link": "state/link.gguf"}[way]
    config.write_text(f"{config.read_text()}model: {{path: {path}}}\n")

    ran = inglenook("model", "rm", name)

    assert ran.returncode == 1
    assert f"{name} is in use; `inglenook model use` another first" in ran.err
    assert (models_dir / name).exists()


@pytest.mark.parametrize("name", ["none.gguf", "../out.gguf", "notes.txt", "", ".", "/etc/passwd"])
def test_nothing_but_a_listed_model_is_removed(
    inglenook: Inglenook, models_dir: Path, name: str
) -> None:
    """Nothing outside the folder, and nothing in it that is no model."""
    (models_dir.parent / "out.gguf").write_bytes(b"mine")
    (models_dir / "notes.txt").write_text("mine")

    ran = inglenook("model", "rm", name)

    assert (ran.returncode, ran.out) == (1, "")
    assert f"there is no model {name!r} in {models_dir}" in ran.err
    assert (models_dir.parent / "out.gguf").exists()
    assert (models_dir / "notes.txt").exists()


def test_a_file_is_examined_by_name(inglenook: Inglenook, tmp_path: Path) -> None:
    """What it is called, how large it is, and what a conversation in it costs."""
    path = tmp_path / "some.gguf"
    path.write_bytes(small_model())

    ran = inglenook("model", "info", str(path))
    facts = dict(line.split(maxsplit=1) for line in ran.out.splitlines())

    assert ran.returncode == 0
    assert facts["file"] == str(path)
    assert facts["name"] == "Small Test Model"
    assert facts["context"] == "256 tokens"
    assert facts["system"] == "message  known to the chat template"
    assert facts["turns"] == "in any order"
    assert facts["date"] == "not in the prompt"
    assert facts["default"] == "prompt  15 tokens for a question of one word"
    assert facts["begins"] == "with     <s>"


def test_a_files_own_words_cannot_command_the_terminal(
    inglenook: Inglenook, models_dir: Path
) -> None:
    """Whoever wrote the file may have put anything into its name."""
    (models_dir / "odd.gguf").write_bytes(model_bytes({"general.name": "\x1b[2J\x07odd\n\rname"}))

    ran = inglenook("model", "info", str(models_dir / "odd.gguf"))
    listed = inglenook("model", "list")

    assert ran.returncode == 0
    for text in (ran.out.replace("\n", ""), listed.out.replace("\n", "").replace("\t", "")):
        assert text.isprintable()


@pytest.mark.slow
def test_every_corrupt_file_is_a_sentence(inglenook: Inglenook, tmp_path: Path) -> None:
    """Exit code 1, the file named, the reason said, no trace."""
    for path, words in corrupt_variants(tmp_path):
        ran = inglenook("model", "info", str(path))

        assert (ran.returncode, ran.out) == (1, ""), path.name
        assert words in ran.err, path.name
        assert ran.err.count("\n") == 1, path.name


@pytest.mark.parametrize("where", ["missing.gguf", "."])
def test_no_file_or_a_folder_is_a_sentence(
    inglenook: Inglenook, tmp_path: Path, where: str
) -> None:
    """Both happen to people who type paths."""
    ran = inglenook("model", "info", str(tmp_path / where))

    assert (ran.returncode, ran.out) == (1, "")
    assert ran.err.startswith("inglenook: ")


def test_pulling_what_is_there_prints_its_path(
    inglenook: Inglenook, starter_model: Path, tmp_path: Path
) -> None:
    """Nothing is fetched twice; a script gets the path alone."""
    settings = tmp_path / "with-starter.yaml"
    settings.write_text(f"state_dir: {starter_model.parent.parent}\n")

    ran = inglenook("model", "pull", "starter", "--config", str(settings))

    assert (ran.returncode, ran.out) == (0, f"{starter_model}\n")


def test_what_a_template_needs_is_said_beforehand(inglenook: Inglenook, tmp_path: Path) -> None:
    """One of Gemma 2's kind: no system message, and questions and answers in turn."""
    path = tmp_path / "some.gguf"
    path.write_bytes(model_bytes({"tokenizer.chat_template": PICKY["refuses system"]}))

    out = inglenook("model", "info", str(path)).out

    assert "unknown to the chat template: its text is put before the first question" in out
    assert "questions and answers must alternate: neighbours are merged" in out


@pytest.mark.parametrize("command", ["info", "use"])
@pytest.mark.parametrize(
    ("template", "why"),
    [
        (HOPELESS["nothing of a question"], "it leaves out what is asked"),
        (HOPELESS["raises"], "not for chats"),
        ("{% for %}", "Expected an expression"),
    ],
)
def test_a_template_that_takes_no_question_is_refused_here(
    inglenook: Inglenook, tmp_path: Path, config: Path, command: str, template: str, why: str
) -> None:
    """In words for its owner, who can do something about it; and the settings stay as they are."""
    path = tmp_path / "some.gguf"
    path.write_bytes(model_bytes({"tokenizer.chat_template": template}))
    before = config.read_text()

    ran = inglenook("model", command, str(path))

    assert ran.returncode == 1
    assert f"{path}: the model's chat template does not work: {why}" in ran.err
    assert "choose another model" in ran.err
    assert config.read_text() == before
