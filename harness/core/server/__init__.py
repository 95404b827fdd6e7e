"""A client of HTTP servers, for every component that asks one: bounded concurrency, retries, errors in the server's
words."""
