// SPDX-License-Identifier: AGPL-3.0-only

// Package terraform_test reads the Terraform module as Terraform reads it, and holds it to the charm. It is a module of its
// own because HCL's parser brings more along than the program should be built with.
package terraform_test
