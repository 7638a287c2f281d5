"""Random histories of the real program, against time: ``snoopsync run`` as a process, the kernel's
own events and signals, a collection behind HTTP that fails in every way, and people who never stop.

    python -m tests.campaigns.everyday --seed 7 --minutes 5

What is done depends on the seed alone; when snoopsync sees it, on the machine. So it is only held
to what is certain (see ``Ledger``). A campaign is a row of epochs: at the end of each people pause,
the collection answers, and everything has to come into order.

One thing that networks do is left out: a request that is carried out long after its sender gave it
up, and after the next one. No client can tell.
"""
