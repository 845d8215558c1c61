// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// judge is another program's opinion of a certificate and its chain.
type judge struct {
	name    string
	program string
	args    func(leaf, chain, trust string) []string // paths of PEM files
}

// installedJudges are those of the judges that this machine has.
func installedJudges() []judge {
	known := []judge{
		{name: "openssl", program: "openssl", args: func(leaf, chain, trust string) []string {
			return []string{"verify", "-x509_strict", "-CAfile", trust, "-untrusted", chain, leaf}
		}},
		{name: "certtool", program: "certtool", args: func(leaf, _, trust string) []string {
			return []string{"--verify", "--load-ca-certificate", trust, "--infile", leaf}
		}},
	}
	var found []judge
	for _, j := range known {
		if path, err := exec.LookPath(j.program); err == nil {
			j.program = path
			found = append(found, j)
		}
	}
	return found
}

// verify has the judge verify a certificate. Only certificates are written out, never a key.
func (j judge) verify(ctx context.Context, h holding) error {
	dir, err := os.MkdirTemp("", "signet-judge-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	paths := map[string]string{}
	for name, text := range map[string]string{"leaf": h.leaf + "\n" + h.chain, "chain": h.chain + "\n" + h.trust, "trust": h.trust} {
		paths[name] = filepath.Join(dir, name+".pem")
		if err := os.WriteFile(paths[name], []byte(text), 0o600); err != nil {
			return err
		}
	}
	output, err := exec.CommandContext(ctx, j.program, j.args(paths["leaf"], paths["chain"], paths["trust"])...).CombinedOutput() //nolint:gosec // fixed programs
	if err != nil {
		return fmt.Errorf("%s: %s", j.name, strings.Join(strings.Fields(string(output)), " "))
	}
	return nil
}
