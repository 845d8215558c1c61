// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"encoding/json"
	"path"
	"time"

	"github.com/hashicorp/vault/api"
)

// loggedIn gives a token: the one at hand unless it has ended, or is the one that was refused.
func (s *server) loggedIn(ctx context.Context, node node, refused string) (string, *trouble) {
	s.login.Lock()
	defer s.login.Unlock()
	s.mu.Lock()
	token, until := s.token, s.until
	s.mu.Unlock()
	ended := !until.IsZero() && !s.config.Now().Before(until)
	if token != "" && token != refused && !ended {
		return token, nil
	}
	if !s.at.Token.IsZero() {
		return s.takeToken(ctx, node, token)
	}
	at := path.Join("auth", s.at.LoginMount, "login")
	secret, bad := s.send(ctx, node, at, func(ctx context.Context, _ *api.Client) (*api.Response, error) {
		body, err := json.Marshal(map[string]string{"role_id": s.at.RoleID.Reveal(), "secret_id": s.at.SecretID.Reveal()})
		if err != nil {
			return nil, err
		}
		return node.bare.Logical().WriteRawWithContext(ctx, at, body)
	})
	switch {
	case bad != nil && (bad.Code == "vault-refused" || bad.Code == "vault-denied"):
		bad = failed("vault-login", "Vault refuses the login (invalid role-id or secret-id, or the secret-id has ended): "+
			"put a new secret-id into the secret that vault-credentials names, with juju update-secret")
		bad.closes = true
		return "", bad
	case bad != nil:
		bad.unanswered = false // a login signs nothing
		return "", bad
	case secret.Auth == nil || secret.Auth.ClientToken == "":
		return "", failed("vault-login", "Vault at %s gives no token for the AppRole: see vault-auth-mount", node.address)
	}
	s.take(secret.Auth.ClientToken, time.Duration(secret.Auth.LeaseDuration)*time.Second, secret.Auth.Renewable)
	return secret.Auth.ClientToken, nil
}

// takeToken uses the token that the operator gave, once Vault has said how long it lives.
func (s *server) takeToken(ctx context.Context, node node, before string) (string, *trouble) {
	given := s.at.Token.Reveal()
	ended := failed("vault-login", "Vault takes the token no more: it has ended or was revoked: wrap a new one, and put it into the secret "+
		"that vault-credentials names, with juju update-secret")
	ended.closes = true
	if before != given {
		s.take(given, 0, false)
	}
	secret, bad := s.send(ctx, node, "auth/token/lookup-self", func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().ReadRawWithContext(ctx, "auth/token/lookup-self")
	})
	switch {
	case bad != nil && bad.token:
		s.take("", 0, false)
		return "", ended
	case bad != nil:
		s.take("", 0, false)
		bad.unanswered = false
		return "", bad
	}
	life, err := secret.TokenTTL()
	renewable, also := secret.TokenIsRenewable()
	if err != nil || also != nil {
		life, renewable = 0, false
	}
	s.take(given, life, renewable)
	return given, nil
}

// take notes a token. It is kept alive from half of its life on.
func (s *server) take(token string, life time.Duration, renewable bool) {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.until, s.renewAt = token, time.Time{}, time.Time{}
	if life > 0 {
		s.until = now.Add(life)
		if renewable {
			s.renewAt = now.Add(life / 2)
		}
	}
	for _, node := range s.nodes {
		node.client.SetToken(token)
	}
}

// keepAlive has the login last longer, where half of its life is over. That it cannot is no failure before it ends.
func (s *server) keepAlive(ctx context.Context) {
	s.mu.Lock()
	due := !s.renewAt.IsZero() && !s.config.Now().Before(s.renewAt)
	s.mu.Unlock()
	if !due {
		return
	}
	secret, err := s.write(ctx, "auth/token/renew-self", map[string]any{})
	if err != nil || secret.Auth == nil {
		return
	}
	life := time.Duration(secret.Auth.LeaseDuration) * time.Second
	s.take(secret.Auth.ClientToken, life, secret.Auth.Renewable)
}

// lasts is when the login has to be kept alive at the latest; zero for never. Who can log in again need not care.
func (s *server) lasts() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.Token.IsZero() {
		return time.Time{}
	}
	return s.renewAt
}
