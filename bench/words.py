"""What the page of the benchmarks says around its figures."""

HEAD = """\
# Benchmarks

Written by `{command}`, which measures anew and replaces this page: do not edit it.
Each figure is the median over the rounds. Absolute values are for the machine named here; ratios travel.
"""

SECTIONS = {
    "http": """\
## Over HTTP

Each caller sends its next call when the last was answered.""",
    "stdio": """\
## A stdio server

`direct` is one client with that many calls in flight on the child's pipe; to Coatcheck the callers come over
HTTP, and share one child.""",
    "steady": """\
## A steady 500 calls a second

Over HTTP, calls come due whatever the answers do; one that waits for its caller counts from when it came due.
This is what users feel, where the tables above show the capacity.""",
    "all": """\
## The route to all servers

The same call over HTTP through `/mcp`, where a tool's name says which server has it.""",
    "durable": """\
## With and without durable records

Over HTTP, to three gateways: the product, and two that exist in this benchmark only. `unsynced` does the
same but never waits for the disk; `unwaited` besides lets calls and answers go before their entries are
written. The 16 callers send a steady 1,000 calls a second, the 64 their next call when the last was
answered.""",
    "policies": """\
## Policies

The same call over HTTP, to the gateway as above and to one with a policy of 200 rules on everything, each
with a condition on an argument; the last is for the tool that is called, and all of its conditions are
asked. Below it what one decision takes of the CPU within one process, by how many of the rules are for the
tool.""",
}

FOOT = """\
## How to read this

`direct` is the call with nothing between; its CPU and memory are those of the server itself, the same raw
one for all targets. `nginx` is a plain proxy with one worker: connections kept alive on both sides, no
buffering, no log; master and worker are counted. `coatcheck` is one process with all that it does in
production: the grant is looked up, the access rules decide, the server's own credential is put in, and the
record is durable on disk before the server is asked and again before the caller hears.

In every round the targets of a case take short bursts one after the other, and the order turns with the
round. What is compared is compared within its round, then the median is taken. A call that is not answered
with its own result ends the run, and nothing passes or fails by a time. CPU is user and system time for
each call, by the kernel's clock of the processes; memory is resident after the burst.

Server, proxy and load share the cores: at 16 callers and more, calls a second and times say what this
machine does with all three on it, and CPU for each call says what the proxy costs. With one caller every
program sleeps between two calls, and waking up is a good part of its CPU and of the time.

The load itself used at most {load}.

Why it is measured so, and what was learned: [decision 0003](decisions/0003-benchmarks.md).
"""
