// SPDX-License-Identifier: AGPL-3.0-only

// Package clientgo_test has Kubernetes' own libraries judge the files that package kubefile writes: client-go, by which
// kubectl and the kubelet read a kubeconfig, and the kubelet's configuration types. It is a module of its own because
// the program that ships links none of them.
//
// Look next at installed_test.go, which judges the files that signet laid on a disk.
package clientgo_test
