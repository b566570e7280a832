"""The `maxcloud` command line: what a person types, over `maxcloud.client`."""
