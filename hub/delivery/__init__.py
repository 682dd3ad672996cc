"""The road out and back: from a read invoice to the portal's answer and the buyer's."""
