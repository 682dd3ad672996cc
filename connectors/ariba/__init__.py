"""SAP Ariba (SAP Business Network), supplier's side: invoices by cXML, statuses by REST."""
