// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

// operateVault starts a Vault and prints its address, or has something happen to it.
func (s *story) operateVault(_ context.Context, w *bytes.Buffer, args []string) (err error) {
	defer func() {
		if failed, ok := recover().(vaultFailed); ok {
			err = errors.Join(failed...)
		}
	}()
	if args[0] == "start" {
		s.vault = vaulttest.Start(&onStage{TB: s.t, story: s})
		for name, text := range map[string]string{"vault-ca.pem": s.vault.CA(), "root-token": s.vault.Root().Token()} {
			if err := os.WriteFile(filepath.Join(s.work, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		_, err := fmt.Fprint(w, s.vault.Address())
		return err
	}
	if s.vault == nil {
		return errors.New("there is no Vault: vault start")
	}
	act, known := map[string]func(){
		"seal": s.vault.Seal, "unseal": s.vault.Unseal, "kill": s.vault.Kill, "restart": s.vault.Restart,
	}[args[0]]
	if !known {
		return fmt.Errorf("nothing like %q happens to a Vault", args[0])
	}
	act()
	return nil
}

// onStage lets a story fail where a test would.
type onStage struct {
	testing.TB

	story *story
	said  vaultFailed
}

type vaultFailed []error

func (t *onStage) Helper()              {}
func (t *onStage) Cleanup(clean func()) { t.story.ends(clean) }
func (t *onStage) Errorf(format string, args ...any) {
	t.said = append(t.said, fmt.Errorf(format, args...))
}
func (t *onStage) FailNow() { panic(t.said) }
func (t *onStage) TempDir() string {
	dir, err := os.MkdirTemp(t.story.work, "vault-")
	if err != nil {
		panic(vaultFailed{err})
	}
	return dir
}
