"""Pages of the settings: who administers Coatcheck and how, and how the gateway is set up."""
