"""What has to hold before a change is merged, beside the tests."""
