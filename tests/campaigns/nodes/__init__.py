"""The campaign of nodes: two ``serve --database`` behind HAProxy, while parts of it are killed.

==============  ============================================================
``site``        PostgreSQL with a synchronous standby, the nodes and HAProxy
``clients``     clients that remember what they were told
``campaign``    what is killed, the table, and what is wrong
==============  ============================================================
"""
