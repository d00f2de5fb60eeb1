"""How a delivery reaches its target: HTTP/1.1 by a sender of our own, behind the outbound guard."""
