// SPDX-License-Identifier: AGPL-3.0-only

// Command cmd packs one charm archive and checks it:
//
//	go run ./internal/charmpack/cmd -arch amd64 -binary dist/linux_amd64/signet -version 1.2.3 -out dist/signet_amd64.charm
//
// With -charm it packs another charm than the one at the checkout's root. It prints the archive's SHA-256 and name as
// sha256sum does, so that two builds are compared at a glance. Where to look next: package charmpack, which does the
// work.
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
	var source charmpack.Source
	tree := flag.String("tree", ".", "the checkout")
	flag.StringVar(&source.Charm, "charm", ".", "folder in the checkout of the charm's own files")
	flag.StringVar(&source.Arch, "arch", "amd64", "architecture of the program: amd64 or arm64")
	binary := flag.String("binary", "", "the program that becomes the charm's dispatch")
	flag.StringVar(&source.Version, "version", "", "the charm's version, one line")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	source.Tree = os.DirFS(*tree)
	if err := run(source, *binary, *out); err != nil {
		fmt.Fprintln(os.Stderr, "charmpack:", err)
		os.Exit(1)
	}
}

// run packs in memory, checks, and only then writes: a file with the name of a charm is a charm that passed.
func run(source charmpack.Source, binary, out string) error {
	var err error
	if source.Binary, err = os.ReadFile(binary); err != nil {
		return fmt.Errorf("cannot read the program: %w", err)
	}
	var packed bytes.Buffer
	if err := charmpack.Pack(&packed, source); err != nil {
		return err
	}
	if err := charmpack.Check(packed.Bytes(), source.Arch); err != nil {
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
