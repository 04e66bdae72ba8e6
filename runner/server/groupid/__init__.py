"""The GroupID dialect: datasync jobs as documents, and what the original lacks."""
