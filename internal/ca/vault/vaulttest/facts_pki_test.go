// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

func authorityFacts() map[string]func(bench)    { return nil }
func signFacts() map[string]func(bench)         { return nil }
func intermediateFacts() map[string]func(bench) { return nil }
func revokeFacts() map[string]func(bench)       { return nil }
func newFacts() map[string]func(bench)          { return nil }
