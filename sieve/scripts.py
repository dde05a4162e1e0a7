"""The scripts of the stages: compiled once, at the start of the process, from what the master's check has read."""

from collections.abc import Collection, Mapping
from pathlib import Path

from columba.common.config.general import Scripts
from columba.common.errors import ConfigError
from columba.sieve.engine import CompileErrors, Script, compile_script
from columba.sieve.lang.includes import loader_beside
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.settings import Settings

STAGES = (
    Stage.CONNECT,
    Stage.HELO,
    Stage.AUTH,
    Stage.MAIL,
    Stage.RCPT,
    Stage.DATA,
    Stage.ROUTE,
    Stage.RETRY,
    Stage.BOUNCE,
)


def script_paths(settings: Scripts) -> dict[Stage, Path]:
    """Return the path of each stage's script; a stage without one is missing."""
    paths = {stage: getattr(settings, f"sieve_{stage.value}") for stage in STAGES}
    return {stage: Path(path) for stage, path in paths.items() if path}


def load_scripts(
    settings: Settings, limits: Limits, tables: Collection[str]
) -> Mapping[Stage, Script]:
    """Return the compiled script of each stage; raises ConfigError with the first mistake."""
    scripts: dict[Stage, Script] = {}
    for stage, path in script_paths(settings).items():
        octets = _octets(settings, stage, path)
        compiled = compile_script(
            octets,
            str(path),
            stage,
            limits=limits,
            tables=tables,
            dicts=settings.dict,
            loader=loader_beside(str(path), lambda name: _read(settings, name)),
        )
        if isinstance(compiled, CompileErrors):
            raise compiled.as_config_error()
        scripts[stage] = compiled
    return scripts


def _octets(settings: Settings, stage: Stage, path: Path) -> bytes:
    octets = _read(settings, str(path))
    if octets is None:
        raise ConfigError(f"sieve_{stage.value}: can't open {path}")
    return octets


def _read(settings: Settings, path: str) -> bytes | None:
    """Return a script as the master's check has read it, else from the disk; None if it is not there."""
    text = settings.script_texts.get(path)
    if text is not None:
        return text.encode("latin-1")
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        return None
