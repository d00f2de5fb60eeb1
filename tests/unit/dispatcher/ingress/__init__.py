"""Tests of the data port, without sockets: values in, values out."""
