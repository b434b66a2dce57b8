"""The layout's rules, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("nucleus_app", "db", "trainer")

# package → (packages of ours it may import, libraries it must not)
RULES = {
    "nucleus_app/domain": ({"nucleus_app.domain", "nucleus_app.errors"}, {"torch", "sqlalchemy", "gradio", "pandas"}),
    "nucleus_app/kinet": (
        {"nucleus_app.kinet", "nucleus_app.domain", "nucleus_app.errors", "nucleus_app.whole_files"},
        {"sqlalchemy", "gradio"},
    ),
    "nucleus_app/imaging": (
        {"nucleus_app.imaging", "nucleus_app.domain", "nucleus_app.errors"},
        {"torch", "sqlalchemy", "gradio"},
    ),
    "nucleus_app/reports": (
        {"nucleus_app.reports", "nucleus_app.domain", "nucleus_app.errors", "nucleus_app"},
        {"torch", "sqlalchemy", "gradio"},
    ),
    "nucleus_app/services": (
        {"nucleus_app.services", "nucleus_app.kinet", "nucleus_app.imaging", "nucleus_app.domain"}
        | {
            "nucleus_app.reports",
            "nucleus_app.errors",
            "nucleus_app.settings",
            "nucleus_app.caches",
            "nucleus_app.whole_files",
            "nucleus_app",
            "db",
        },
        {"gradio"},
    ),
    "nucleus_app/web": (
        {"nucleus_app.web", "nucleus_app.services", "nucleus_app.reports", "nucleus_app.domain", "nucleus_app.errors"},
        {"torch", "sqlalchemy"},
    ),
    "nucleus_app/cli": (
        {"nucleus_app.cli", "nucleus_app.services", "nucleus_app.reports", "nucleus_app.imaging", "nucleus_app.domain"}
        | {"nucleus_app.errors", "nucleus_app.settings", "nucleus_app"},
        {"torch", "sqlalchemy", "gradio"},
    ),
    "nucleus_app/ui": (
        {"nucleus_app.ui", "nucleus_app.services", "nucleus_app.domain", "nucleus_app.errors", "nucleus_app"},
        {"torch", "sqlalchemy"},
    ),
    "db": ({"db", "nucleus_app.domain", "nucleus_app.errors"}, {"torch", "gradio", "pandas"}),
    **{
        f"trainer/{folder}": (
            {f"trainer.{own}" for own in owns}
            | {"nucleus_app.kinet", "nucleus_app.imaging", "nucleus_app.domain"}
            | {"nucleus_app.errors", "nucleus_app.caches", "nucleus_app.whole_files", "nucleus_app", "db"},
            {"gradio"},
        )
        for folder, owns in {
            "learning": ["learning"],
            "base": ["base", "learning"],
            "corrections": ["corrections", "learning"],
            "judging": ["judging", "learning"],
        }.items()
    },
    "trainer": (
        {"trainer", "nucleus_app.kinet", "nucleus_app.imaging", "nucleus_app.domain", "nucleus_app.errors", "db"}
        | {"nucleus_app.settings", "nucleus_app.caches", "nucleus_app.whole_files", "nucleus_app.log", "nucleus_app"},
        {"gradio"},
    ),
}


def imported_names(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def is_within(name: str, package: str) -> bool:
    # "nucleus_app" alone allows its own names (version, research-use line), not its packages.
    return name == package or (package != "nucleus_app" and name.startswith(package + "."))


@pytest.mark.parametrize("package", sorted(RULES))
def test_a_package_imports_only_what_the_design_allows(package: str) -> None:
    allowed, forbidden = RULES[package]
    broken = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for name in imported_names(path):
            if name.split(".")[0] in OURS and not any(is_within(name, a) for a in allowed):
                broken.append(f"{path.relative_to(ROOT)} imports {name}")
            if name.split(".")[0] in forbidden:
                broken.append(f"{path.relative_to(ROOT)} imports {name}")
    assert broken == []


def test_every_package_has_a_rule() -> None:
    inner = [p for top in ("nucleus_app", "trainer") for p in (ROOT / top).glob("*/__init__.py")]
    packages = {p.parent.relative_to(ROOT).as_posix() for p in inner}
    assert packages | {"db", "trainer"} == set(RULES)


def test_no_module_holds_two_ideas() -> None:
    sources = [p for folder in (*OURS, "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    sources += list((ROOT / "nucleus_app/ui/viewer/static").glob("*.js"))
    too_long = {
        p.relative_to(ROOT).as_posix(): n for p in sources if (n := len(p.read_text("utf-8").splitlines())) > 400
    }
    assert too_long == {}


def test_the_page_process_starts_without_torch() -> None:
    program = "import nucleus_app.ui.page, nucleus_app.web.routes, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True).returncode == 0


def test_no_file_names_a_registry_host() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    hosts = ["registry.npm" + "js.org", "pypi" + ".org", "files.python" + "hosted.org", "deb.debian" + ".org"]
    named = [
        f"{name}: {host}"
        for name in tracked
        if (ROOT / name).suffix not in (".safetensors",) and (ROOT / name).is_file()
        for host in hosts
        if host in (ROOT / name).read_text("utf-8", errors="ignore")
    ]
    assert named == []
