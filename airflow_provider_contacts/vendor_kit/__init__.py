"""The parts of which a vendor file is made: see ``vendor_kit.vendor.Vendor``."""
