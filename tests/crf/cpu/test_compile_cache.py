"""The cache of compiled code, on functions that take no time to compile."""

import shutil
import threading

import pytest

pytest.importorskip("numba")

from segtrain.crf.cpu.compile_cache import CompileCache, folder_for


def plus_1(x):
    return x + 1


def use(folder, said=None):
    """What a process does that starts with this folder: the function, and what it was said."""
    said = [] if said is None else said
    cache = CompileCache(folder)
    function = cache.jit(plus_1)
    cache.prepare("int", lambda: function(1), "it", said.append)
    assert function(41) == 42
    return function, said


def test_the_second_process_loads_what_the_first_compiled(tmp_path):
    function, said = use(tmp_path)
    assert said == ["compiling it, once on this machine: a few seconds"]
    assert sum(function.stats.cache_hits.values()) == 0
    function, said = use(tmp_path)
    assert said == []
    assert sum(function.stats.cache_hits.values()) == 1


def test_another_combination_of_types_is_said_and_kept_as_well(tmp_path):
    for expected in (2, 0):
        said = []
        function, _ = use(tmp_path, said)
        cache = CompileCache(tmp_path)
        function = cache.jit(plus_1)
        cache.prepare("float", lambda f=function: f(1.5), "it", said.append)
        assert len(said) == expected


def test_what_was_prepared_is_not_prepared_again(tmp_path):
    cache, runs = CompileCache(tmp_path), []
    for _ in range(2):
        cache.prepare("key", lambda: runs.append(1), "it", lambda line: None)
    assert len(runs) == 1


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_file_is_compiled_again(tmp_path, suffix, damage):
    use(tmp_path)
    (path,) = tmp_path.rglob(f"*.{suffix}")
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 4
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    function, said = use(tmp_path)
    assert len(said) == 1
    assert sum(function.stats.cache_hits.values()) == 0
    assert use(tmp_path)[1] == []  # and it is whole again


@pytest.mark.parametrize("text", ["", "[]", '{"keys": ["int"]}'])
def test_a_damaged_list_is_made_again(tmp_path, text):
    use(tmp_path)
    (tmp_path / "sums.json").write_text(text)
    assert len(use(tmp_path)[1]) == 1
    assert use(tmp_path)[1] == []


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert len(use(tmp_path / "file" / "folder")[1]) == 1


def test_where_no_home_is_known_nothing_is_kept_and_no_folder_made(homeless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder_for([], "crf") is None
    for _ in range(2):
        assert len(use(None)[1]) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_goes_before_it_is_written_to_is_done_without(tmp_path):
    cache = CompileCache(tmp_path / "cache")
    function = cache.jit(plus_1)
    shutil.rmtree(tmp_path / "cache")
    cache.prepare("int", lambda: function(1), "it", lambda line: None)
    assert function(41) == 42


def test_a_fault_of_the_function_itself_is_said(tmp_path):
    def fault():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CompileCache(tmp_path).prepare("key", fault, "it", lambda line: None)


def test_the_folder_is_another_after_an_edit_of_any_source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    sources = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in sources:
        path.write_text("x = 1")
    before = folder_for(sources, "crf")
    assert before.parent == tmp_path / "home" / "segtrain"
    assert folder_for(sources[::-1], "crf") == before
    sources[1].write_text("x = 2")
    assert folder_for(sources, "crf") != before


def test_threads_wait_for_the_one_that_compiles(tmp_path):
    cache, running, runs = CompileCache(tmp_path), threading.Event(), []

    def run():
        runs.append(1)
        running.wait(0.05)

    threads = [threading.Thread(target=cache.prepare, args=("key", run, "it", print)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
