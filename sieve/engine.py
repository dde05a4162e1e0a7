"""The Sieve engine's front: compile a script for a stage, then run it.

Pure. `docs/sieve/engine.md` shows how to drive it. Whatever octets a script holds, compiling gives a
Script or CompileErrors; it raises nothing.
"""

from collections.abc import Callable, Collection
from typing import Final

from columba.sieve.ext.registry import language as standard_language
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import CompileErrors, ErrorLog, Source
from columba.sieve.lang.includes import Includes, Loaded, Loader
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.listing import Listed
from columba.sieve.lang.parser import parse
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Language
from columba.sieve.run.code import Code
from columba.sieve.run.machine import Failed, Finished, Inputs, Machine, Outcome, Script

DEFAULT_LIMITS: Final = Limits()


def compile_script(
    octets: bytes,
    name: str,
    stage: Stage,
    *,
    limits: Limits = DEFAULT_LIMITS,
    tables: Collection[str] | None = None,
    dicts: Collection[str] | None = None,
    language: Language | None = None,
    is_traced: bool = False,
    loader: Loader | None = None,
    listing: list[Listed] | None = None,
) -> Script | CompileErrors:
    """Compile a script for a stage.

    name is what errors call the file. tables, dicts: those that exist, None if that is not known.
    is_traced: the code tells Inputs.trace what it does; it is slower. loader finds included scripts.
    listing: gets the words that were compiled, in order, those of included scripts in their place.
    """

    def compile_one(loaded: Loaded) -> Script | CompileErrors:
        def make(source: Source, log: ErrorLog) -> Compiler:
            return Compiler(
                source,
                log,
                language or standard_language(),
                stage,
                limits,
                tables=_known(tables),
                dicts=_known(dicts),
                is_traced=is_traced,
                includes=includes,
                listing=listing,
            )

        return _compiled(loaded, limits, make, includes)

    def compile_included(loaded: Loaded) -> Code | CompileErrors:
        made = compile_one(loaded)
        return made if isinstance(made, CompileErrors) else made.code

    includes = Includes(loader or (lambda location, name: None), compile_included, [name])
    return compile_one(Loaded(octets, name))


def _compiled(
    loaded: Loaded,
    limits: Limits,
    make: Callable[[Source, ErrorLog], Compiler],
    includes: Includes,
) -> Script | CompileErrors:
    """Parse one source, and compile it with the compiler that make gives."""
    source = Source(loaded.octets[: limits.script_bytes], loaded.name)
    log = ErrorLog(source)
    if len(loaded.octets) > limits.script_bytes:
        log.add(0, f"the script is larger than {limits.script_bytes} octets")
        return log.taken("parsing")
    commands = parse(source, log, limits)
    if len(log):
        return log.taken("parsing")
    compiler = make(source, log)
    code = compiler.block(commands, is_top=True)
    if len(log):
        return log.taken("validation")
    required = includes.with_required(compiler.required)
    return Script(source, compiler.stage, code, required, log.warnings)


def _known(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def begin(script: Script, inputs: Inputs) -> Machine:
    """Return a machine at the start of the script."""
    return Machine(script, inputs)


__all__ = [
    "CompileErrors",
    "Failed",
    "Finished",
    "Inputs",
    "Machine",
    "Outcome",
    "Script",
    "begin",
    "compile_script",
]
