"""What every desk of the portal shares; nothing here knows the market, a review or an approval."""
