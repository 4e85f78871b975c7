"""What is loaded late is then what it ever was. Each runs by itself: what is imported cannot be taken back."""

from tests.unit.base.test_without_openssl import python

LOADED = """
import functools, sys
from types import ModuleType
from eventmesh.base.late_modules import late_inspect
late_inspect()
from eventmesh.base.without_openssl import load_loop
load_loop()
import asyncio, dataclasses, inspect, uvloop
def is_loaded():
    return "ast" in sys.modules
"""


def test_a_loop_that_runs_and_hears_signals_does_without_it() -> None:
    program = (
        LOADED
        + """
import os, signal

async def main():
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    loop.add_signal_handler(signal.SIGUSR1, functools.partial(print))
    os.kill(os.getpid(), signal.SIGTERM)
    await heard.wait()

class Handler:
    def heard(self): pass
async def served():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, Handler().heard)

uvloop.run(served())
print(is_loaded())
uvloop.run(main())
print(is_loaded())
"""
    )
    assert python(program).split() == ["False", "True"]


def test_whoever_asks_for_more_gets_the_real_one() -> None:
    program = (
        LOADED
        + """
before = inspect
from inspect import signature
print(signature(lambda a, b=1: a), is_loaded())
import inspect
print(inspect is before, type(inspect) is ModuleType, asyncio.coroutines.inspect is inspect)
print(inspect.iscoroutinefunction.__module__, inspect.unwrap.__module__)
"""
    )
    assert python(program).splitlines() == ["(a, b=1) True", "True True True", "inspect inspect"]


def test_a_star_brings_all_of_it() -> None:
    assert python(LOADED + "from inspect import *\nprint(getsource.__module__)") == "inspect"


def test_what_is_answered_without_it_is_what_it_answers() -> None:
    program = (
        LOADED
        + """
async def coroutine(): pass
def function(): pass
def generator(): yield
async def stream(): yield
class Kind:
    async def coroutine(self): pass
    def function(self): pass
    async def __call__(self): pass
    @classmethod
    async def made(cls): pass
@functools.wraps(coroutine)
def wrapping(): return coroutine()
plain = [coroutine, function, generator, stream, Kind().coroutine, Kind().function, Kind.made, wrapping]
rest = [Kind(), functools.partial(coroutine), functools.partial(function), len, 3]
names = ("isgenerator", "isfunction", "iscoroutinefunction")
early = {name: getattr(inspect, name) for name in names}
values = [*plain, generator(), 3]
said = [[early[name](value) for value in (values if name != "iscoroutinefunction" else plain)] for name in names]
unwrapped = [inspect.unwrap(value) is value for value in (function, len, Kind().function)]
print(is_loaded(), unwrapped)
said[2] += [early["iscoroutinefunction"](value) for value in rest]
print(is_loaded(), inspect.unwrap(wrapping) is coroutine)
print(said == [[getattr(inspect, name)(value) for value in (values if name != "iscoroutinefunction" else plain + rest)]
               for name in names])
print(said[2].count(True))
"""
    )
    assert python(program).splitlines() == ["False [True, True, True]", "True True", "True", "4"]


def test_unwrapping_loads_it_when_there_is_something_to_unwrap() -> None:
    program = (
        LOADED
        + """
def inner(): pass
@functools.wraps(inner)
def outer(): pass
early = inspect.unwrap
print(early(outer) is inner, early(outer, stop=lambda f: True) is outer, is_loaded())
"""
    )
    assert python(program) == "True True True"


def test_a_process_that_has_it_already_is_left_as_it_is() -> None:
    program = """
import inspect, sys
from eventmesh.base.late_modules import late_inspect
late_inspect()
print(sys.modules["inspect"] is inspect, inspect.unwrap.__module__)
"""
    assert python(program) == "True inspect"


def test_any_module_may_be_late() -> None:
    program = """
import sys
from types import ModuleType
from eventmesh.base.late_modules import late_module
made = late_module("linecache")
import linecache, traceback
print(made is linecache is traceback.linecache, "tokenize" in sys.modules, type(linecache) is ModuleType)
try: 1 / 0
except ZeroDivisionError: print(traceback.format_exc().splitlines()[-1])
print(made is sys.modules["linecache"], "tokenize" in sys.modules, type(linecache) is ModuleType)
print(late_module("linecache"), late_module("nowhere.to.be.found"), "nowhere.to.be.found" in sys.modules)
"""
    assert python(program).splitlines() == [
        "True False False",
        "ZeroDivisionError: division by zero",
        "True True True",
        "None None False",
    ]


def test_threads_that_ask_at_once_all_get_it() -> None:
    program = (
        LOADED
        + """
import threading
gate, found = threading.Barrier(8), []
def ask():
    gate.wait()
    found.append(inspect.getsource.__name__)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found.count("getsource"))
"""
    )
    assert python(program) == "8"
