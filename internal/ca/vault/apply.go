// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"fmt"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// isThere reports whether Vault has what it should make.
func isThere(err error) bool {
	return strings.Contains(err.Error(), "already in use") || strings.Contains(err.Error(), "existing mount at")
}

// Apply does the steps with an administrator's token, which is at's, and gives the credentials of the AppRole. What is there
// already stays, or becomes what the step says.
func (s Setup) Apply(ctx context.Context, config Config, at order.Vault, done func(Step)) (roleID, secretID cert.Key, err error) {
	server, err := New(config).server(at)
	if err != nil {
		return cert.Key{}, cert.Key{}, err
	}
	defer server.close()
	for _, step := range s.Steps() {
		_, err := server.write(ctx, step.Path, step.Data)
		if err != nil && !(step.Once && isThere(err)) {
			return cert.Key{}, cert.Key{}, fmt.Errorf("cannot write %s: %w", step.Path, err)
		}
		done(step)
	}
	read, err := server.get(ctx, s.RoleIDPath())
	if err != nil {
		return cert.Key{}, cert.Key{}, fmt.Errorf("cannot read the role-id: %w", err)
	}
	made, err := server.write(ctx, s.SecretIDPath(), map[string]any{})
	if err != nil {
		return cert.Key{}, cert.Key{}, fmt.Errorf("cannot make a secret-id: %w", err)
	}
	return cert.NewKey(text(read, "role_id")), cert.NewKey(text(made, "secret_id")), nil
}
