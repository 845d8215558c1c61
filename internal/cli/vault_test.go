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

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

// vaultServer is a real Vault where SIGNET_VAULT names one, else a fake.
type vaultServer interface {
	vaulttest.Vault
	Kill()
	Restart()
}

func startVault(t testing.TB) vaultServer {
	t.Helper()
	if os.Getenv("SIGNET_VAULT") != "" {
		return vaulttest.Start(t)
	}
	return fakeVault{vaulttest.NewFake(t, vaulttest.New)}
}

// fakeVault cannot be killed, but have all connections end.
type fakeVault struct{ *vaulttest.Fake }

func (f fakeVault) Kill() {
	f.Fail(func(string, string) vaulttest.Fault { return vaulttest.Fault{Close: true} })
}
func (f fakeVault) Restart() { f.Fail(nil) }

// operateVault starts a Vault and prints its address, or has something happen to it.
func (s *story) operateVault(ctx context.Context, w *bytes.Buffer, args []string) (err error) {
	t := &onStage{TB: s.t, story: s}
	defer func() {
		if failed, ok := recover().(vaultFailed); ok {
			err = errors.Join(failed...)
		}
	}()
	act, rest := args[0], append(args[1:], "")
	if act == "start" {
		s.vault = startVault(t)
		require.NoError(t, os.WriteFile(filepath.Join(s.work, "vault-ca.pem"), []byte(s.vault.CA()), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(s.work, "root-token"), []byte(s.vault.Root().Token()), 0o600))
		fmt.Fprint(w, s.vault.Address())
		return nil
	}
	if s.vault == nil {
		return errors.New("there is no Vault: vault start")
	}
	role := "auth/approle/role/" + rest[0]
	switch act {
	case "seal":
		s.vault.Seal()
	case "unseal":
		s.vault.Unseal()
	case "kill":
		s.vault.Kill()
	case "restart":
		s.vault.Restart()
	case "secret-id":
		fmt.Fprint(w, s.vault.NewSecretID(rest[0]))
	case "wrap":
		fmt.Fprint(w, s.vault.Wrap(role+"/secret-id", nil))
	case "wrap-token":
		fmt.Fprint(w, s.vault.Wrap("auth/token/create", map[string]any{"policies": []string{rest[0]}, "period": "1h"}))
	case "destroy":
		_, err := s.vault.Root().Logical().WriteWithContext(ctx, role+"/secret-id/destroy", map[string]any{"secret_id": rest[1]})
		require.NoError(t, err)
	case "end-tokens":
		s.endTokens(ctx, t)
	default:
		return fmt.Errorf("nothing like %q happens to a Vault", act)
	}
	return nil
}

// mintedByVault are the operator's token and, where Vault is a fake, all tokens and credentials that it ever gave.
func (s *story) mintedByVault() []string {
	if s.vault == nil {
		return nil
	}
	minted := []string{s.vault.Root().Token()}
	if fake, ok := s.vault.(fakeVault); ok {
		minted = append(minted, fake.Minted()...)
	}
	return minted
}

// endTokens has all tokens end but the operator's.
func (s *story) endTokens(ctx context.Context, t *onStage) {
	if fake, ok := s.vault.(fakeVault); ok {
		fake.RevokeTokens()
		return
	}
	root := s.vault.Root()
	self, err := root.Auth().Token().LookupSelfWithContext(ctx)
	require.NoError(t, err)
	listed, err := root.Logical().ListWithContext(ctx, "auth/token/accessors")
	require.NoError(t, err)
	accessors, _ := listed.Data["keys"].([]any)
	for _, accessor := range accessors {
		if accessor != self.Data["accessor"] {
			_, err := root.Logical().WriteWithContext(ctx, "auth/token/revoke-accessor", map[string]any{"accessor": accessor})
			require.NoError(t, err)
		}
	}
}

// onStage lets a story fail where a test would.
type onStage struct {
	testing.TB

	story *story
	said  vaultFailed
}

type vaultFailed []error

func (t *onStage) Helper() {}

func (t *onStage) Cleanup(clean func()) { t.story.ends(clean) }

func (t *onStage) Errorf(format string, args ...any) {
	t.said = append(t.said, fmt.Errorf(format, args...))
}

func (t *onStage) FailNow() { panic(t.said) }

func (t *onStage) TempDir() string {
	dir, err := os.MkdirTemp(t.story.work, "vault-")
	require.NoError(t, err)
	return dir
}
