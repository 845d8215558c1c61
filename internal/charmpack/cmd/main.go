// SPDX-License-Identifier: AGPL-3.0-only

// Command cmd packs one charm archive and checks it:
//
//	go run ./internal/charmpack/cmd -arch amd64 -binary dist/linux_amd64/signet -version 1.2.3 -out dist/signet_amd64.charm
//
// It prints the archive's SHA-256 and name as sha256sum does, so that two builds are compared at a glance. Where to
// look next: package charmpack, which does the work.
package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"

	"github.com/signet-charm/signet/internal/charmpack"
)

func main() {
	tree := flag.String("tree", ".", "folder that holds metadata.yaml and its neighbours")
	arch := flag.String("arch", "amd64", "architecture of the program: amd64 or arm64")
	binary := flag.String("binary", "", "the program that becomes the charm's dispatch")
	version := flag.String("version", "", "the charm's version, one line")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	if err := run(*tree, *arch, *binary, *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "charmpack:", err)
		os.Exit(1)
	}
}

// run packs in memory, checks, and only then writes: a file with the name of a charm is a charm that passed.
func run(tree, arch, binary, version, out string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("cannot read the program: %w", err)
	}
	var packed bytes.Buffer
	source := charmpack.Source{Tree: os.DirFS(tree), Arch: arch, Binary: program, Version: version}
	if err := charmpack.Pack(&packed, source); err != nil {
		return err
	}
	if err := charmpack.Check(packed.Bytes(), arch); err != nil {
		return err
	}
	if err := os.WriteFile(out+".tmp", packed.Bytes(), 0o644); err != nil { //nolint:gosec // a charm is public
		return fmt.Errorf("cannot write the charm: %w", err)
	}
	if err := os.Rename(out+".tmp", out); err != nil {
		return fmt.Errorf("cannot write the charm: %w", err)
	}
	fmt.Printf("%x  %s\n", sha256.Sum256(packed.Bytes()), out)
	return nil
}
