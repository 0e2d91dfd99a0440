# SPDX-License-Identifier: Apache-2.0
"""What people say in a release: yes, no, wait, go back, and who they are."""
