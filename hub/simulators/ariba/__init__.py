"""SAP Ariba's network, simulated: cXML in, OAuth and the invoices API out; see hub/simulators/README.md."""
