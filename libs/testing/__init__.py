"""What tests stand on: real servers, a clock, factories, given/when/then."""
