"""One package a portal; each imports only hub.contract and its neighbours here."""
