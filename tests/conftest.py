"""What every test stands on: nothing of the person who runs them, and the option for a real Hub."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something of the machine, not of the code.
settings.register_profile("hubbot", deadline=None)
settings.load_profile("hubbot")

# Read by huggingface_hub at import: no telemetry, and no token that lies in somebody's home.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--endpoint",
        help="run the read-only wire tests against this Hub; needs --force-enable-socket as well",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files come first, of processes and browsers, then of benchmarks: short ones fill the end."""
    items.sort(key=lambda item: ("unit" in item.path.parts, not _runs_benchmarks(item)))


def _runs_benchmarks(item: pytest.Item) -> bool:
    named = vars(item.module).values() if isinstance(item, pytest.Function) else ()
    homes = (getattr(one, "__package__", None) or getattr(one, "__module__", None) for one in named)
    return any(str(home).startswith("benchmarks") for home in homes)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With TESTS_NO_SKIP, as in `.ci/run`, a skipped test is a failed run; GPU tests need a GPU."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus or reporter is None or not os.environ.get("TESTS_NO_SKIP"):
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if "gpu" not in report.keywords]
    if skipped:
        reporter.write_line(f"TESTS_NO_SKIP: {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def kept_texts(shared_folder: Path) -> None:
    """Vectors of texts are kept in nobody's home, and few of the many processes need load the encoder."""
    os.environ["HUBBOT_CACHE"] = str(shared_folder / "cache")


@pytest.fixture(scope="session")
def smallest_zoos(shared_folder: Path) -> Callable[..., str]:
    """Builds the zoos of these names at their smallest, once for all workers of a run; the folder of all."""
    folder = shared_folder / "zoos"
    folder.mkdir(exist_ok=True)

    def build(*names: str) -> str:
        from hubbot.training.zoos import build_zoo

        for name in names:
            family = name.split("-")[0]  # which may share roots
            with (folder / f"{family}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                build_zoo(name, "tiny", folder / name, progress=False)
        return str(folder)

    return build


@pytest.fixture(scope="session")
def emoji_font() -> None:
    """For tests that draw emoji, whose font is Debian's to install."""
    from hubbot.errors import ZooError
    from hubbot.zoo.emoji.pictures import font_file

    try:
        font_file()
    except ZooError as error:
        pytest.skip(f"{error}")
