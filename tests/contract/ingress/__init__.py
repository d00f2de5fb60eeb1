"""Tests of the data port on real sockets: raw bytes in, raw bytes out."""
