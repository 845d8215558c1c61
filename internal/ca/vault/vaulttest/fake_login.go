// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// monthLong is how long tokens, leases and certificates may last where nothing else is said: 32 days.
const monthLong = 768 * time.Hour

// defaultPolicy is the part of the policy that all tokens have that matters here.
const defaultPolicy = `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`

// A token lets its holder call.
type token struct {
	id       string
	accessor string
	policies []string
	made     time.Time
	ends     time.Time // zero for never
	period   time.Duration
	most     time.Time // how far it can be renewed
	uses     int       // how many are left; 0 for any number
}

// An appRole is what logs in.
type appRole struct {
	name     string
	id       string
	policies []string
	life     time.Duration // of its tokens; 0 for the usual
	most     time.Duration // how long they can be renewed; 0 for the usual
	uses     int           // of each token; 0 for any number
	logins   int           // with each secret-id; 0 for any number
	secrets  map[string]int
}

// A wrapping is an answer that is given once.
type wrapping struct {
	held answer
	path string
	made time.Time
	life time.Duration
}

// TokenTTL sets how long the tokens last that logins give from now on.
func (f *Fake) TokenTTL(life time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life = life
}

// RevokeTokens ends all tokens but the operator's.
func (f *Fake) RevokeTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	root := f.tokens[f.operator.token]
	f.tokens = map[string]*token{root.id: root}
}

// newToken makes a token. One that lasts for no time at all lasts for ever.
func (f *Fake) newToken(policies []string, life time.Duration) *token {
	now := f.now()
	made := &token{id: "s." + rand.Text()[:24], accessor: rand.Text(), policies: policies, made: now, period: life}
	if life > 0 {
		made.ends, made.most = now.Add(life), now.Add(max(life, monthLong))
	}
	f.tokens[made.id] = made
	f.minted = append(f.minted, made.id)
	return made
}

// alive is a token that has not ended; nil where there is none.
func (f *Fake) alive(id string) *token {
	found := f.tokens[id]
	if found != nil && !found.ends.IsZero() && !f.now().Before(found.ends) {
		delete(f.tokens, id)
		return nil
	}
	return found
}

// auth is what a login or a renewal tells of a token.
func (f *Fake) auth(of *token, metadata map[string]any) map[string]any {
	return map[string]any{
		"client_token": of.id, "accessor": of.accessor, "policies": of.policies, "token_policies": of.policies, "metadata": metadata,
		"lease_duration": f.left(of), "renewable": of.period > 0, "entity_id": "", "token_type": "service", "orphan": true,
	}
}

// left is how many seconds a token has.
func (f *Fake) left(of *token) int64 {
	if of.ends.IsZero() {
		return 0
	}
	return int64(of.ends.Sub(f.now()).Round(time.Second) / time.Second)
}

// open carries out what needs no token, or brings its own.
func (f *Fake) open(asked *call) (answer, bool) {
	switch {
	case asked.path == "sys/seal-status", asked.path == "sys/health":
		version := map[Age]string{Old: "1.1.2", New: "1.21.1"}[f.age]
		return answer{kind: "application/json", bare: []byte(`{"initialized":true,"sealed":false,"standby":false,"version":"` + version + `"}`)}, true
	case asked.path == "sys/wrapping/lookup":
		held := f.wrapped[text(asked.body, "token")]
		if held == nil || !f.now().Before(held.made.Add(held.life)) {
			return refuse(http.StatusBadRequest, noWrapping), true
		}
		return answer{data: map[string]any{
			"creation_path": held.path, "creation_time": held.made.Format(time.RFC3339Nano), "creation_ttl": int64(held.life / time.Second),
		}}, true
	case asked.path == "sys/wrapping/unwrap":
		id := text(asked.body, "token")
		if id == "" {
			id = asked.token
		}
		held := f.wrapped[id]
		delete(f.wrapped, id)
		if held == nil || !f.now().Before(held.made.Add(held.life)) {
			return refuse(http.StatusBadRequest, noWrapping), true
		}
		return held.held, true
	}
	mount, isLogin := strings.CutSuffix(strings.TrimPrefix(asked.path, "auth/"), "/login")
	if roles, found := f.logins[mount]; isLogin && found && asked.method == http.MethodPut {
		return f.login(roles, asked.body), true
	}
	return answer{}, false
}

const noWrapping = "wrapping token is not valid or does not exist"

// wrap keeps an answer until its token is shown.
func (f *Fake) wrap(asked *call, held answer) answer {
	life, err := duration(asked.wrap)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	id, now := "s."+rand.Text()[:24], f.now()
	f.minted = append(f.minted, id)
	f.wrapped[id] = &wrapping{held: held, path: asked.path, made: now, life: life}
	info := map[string]any{
		"token": id, "accessor": rand.Text(), "ttl": int64(life / time.Second), "creation_time": now.Format(time.RFC3339Nano), "creation_path": asked.path,
	}
	if held.auth != nil {
		info["wrapped_accessor"] = held.auth["accessor"]
	}
	return answer{wrap: info}
}

// login gives a token for a role-id and a secret-id.
func (f *Fake) login(roles map[string]*appRole, body map[string]any) answer {
	roleID, secretID := text(body, "role_id"), text(body, "secret_id")
	unknown := func(inOld string) answer {
		if f.age == New {
			return refuse(http.StatusBadRequest, "invalid role or secret ID")
		}
		return refuse(http.StatusBadRequest, inOld)
	}
	if roleID == "" {
		return refuse(http.StatusBadRequest, "missing role_id")
	}
	for _, role := range roles {
		if role.id != roleID {
			continue
		}
		left, found := role.secrets[secretID]
		switch {
		case secretID == "":
			return refuse(http.StatusBadRequest, "missing secret_id")
		case !found:
			return unknown("invalid secret id")
		case left == 1:
			delete(role.secrets, secretID)
		case left > 1:
			role.secrets[secretID]--
		}
		life := f.life
		if role.life > 0 {
			life = role.life
		}
		made := f.newToken(append([]string{"default"}, role.policies...), life)
		made.uses = role.uses
		if role.most > 0 {
			made.most = made.made.Add(role.most)
		}
		return answer{auth: f.auth(made, map[string]any{"role_name": role.name})}
	}
	return unknown("invalid role ID")
}

// tokenCall is what a token does about itself, and how the operator makes one.
func (f *Fake) tokenCall(asked *call) answer {
	own := f.tokens[asked.token]
	if own == nil { // that was its last use
		own = &token{id: asked.token}
	}
	switch strings.TrimPrefix(asked.path, "auth/token/") {
	case "lookup-self":
		data := map[string]any{
			"id": own.id, "accessor": own.accessor, "policies": own.policies, "ttl": f.left(own), "creation_ttl": int64(own.period / time.Second),
			"renewable": own.period > 0, "num_uses": own.uses, "expire_time": nil,
		}
		if !own.ends.IsZero() {
			data["expire_time"] = own.ends.Format(time.RFC3339Nano)
		}
		return answer{data: data}
	case "renew-self":
		life, err := duration(asked.body["increment"])
		switch {
		case err != nil:
			return refuse(http.StatusBadRequest, err.Error())
		case own.period == 0:
			return refuse(http.StatusBadRequest, "lease is not renewable")
		case life == 0:
			life = own.period
		}
		if own.ends = f.now().Add(life); own.ends.After(own.most) {
			own.ends = own.most
		}
		return answer{auth: f.auth(own, nil)}
	case "revoke-self":
		delete(f.tokens, own.id)
		return answer{}
	case "create":
		life, err := duration(asked.body["ttl"])
		if err != nil {
			return refuse(http.StatusBadRequest, err.Error())
		}
		if life == 0 {
			life = f.life
		}
		made := f.newToken(append([]string{"default"}, texts(asked.body["policies"])...), life)
		return answer{auth: f.auth(made, nil)}
	}
	return failure(http.StatusNotFound, "unsupported path")
}

// roleCall is how the operator makes an AppRole, and secret-ids of it.
func (f *Fake) roleCall(asked *call) answer {
	parts := strings.Split(asked.path, "/") // auth/<mount>/role/<name>[/role-id or /secret-id]
	roles := f.logins[parts[1]]
	if roles == nil || len(parts) < 4 || parts[2] != "role" {
		return f.nowhere(asked.path)
	}
	role := roles[parts[3]]
	switch what := strings.Join(parts[4:], "/"); {
	case what == "" && asked.method == http.MethodPut:
		if role == nil {
			role = &appRole{name: parts[3], id: rand.Text(), secrets: map[string]int{}}
			roles[parts[3]] = role
		}
		role.policies = texts(asked.body["policies"])
		if newer := texts(asked.body["token_policies"]); f.age == New && newer != nil {
			role.policies = newer
		}
		role.life, _ = duration(asked.body["token_ttl"])
		role.most, _ = duration(asked.body["token_max_ttl"])
		role.uses, role.logins = number(asked.body["token_num_uses"]), number(asked.body["secret_id_num_uses"])
		return answer{}
	case role == nil:
		return absent()
	case what == "role-id" && asked.method == http.MethodGet:
		return answer{data: map[string]any{"role_id": role.id}}
	case what == "secret-id" && asked.method == http.MethodPut:
		id := rand.Text()
		role.secrets[id] = role.logins
		f.minted = append(f.minted, id)
		return answer{data: map[string]any{"secret_id": id, "secret_id_accessor": rand.Text()}}
	case what == "secret-id/destroy" && asked.method == http.MethodPut:
		delete(role.secrets, text(asked.body, "secret_id"))
		return answer{}
	}
	return failure(http.StatusNotFound, "unsupported path")
}

// duration reads how long something is to last: a number of seconds, or a text with a unit. Nothing is zero.
func duration(value any) (time.Duration, error) {
	switch value := value.(type) {
	case nil:
		return 0, nil
	case float64:
		return time.Duration(value) * time.Second, nil
	case string:
		if value == "" {
			return 0, nil
		}
		if seconds, err := strconv.Atoi(value); err == nil {
			return time.Duration(seconds) * time.Second, nil
		}
		return time.ParseDuration(value)
	}
	return 0, fmt.Errorf("%v is no duration", value)
}

func text(body map[string]any, name string) string {
	value, _ := body[name].(string)
	return value
}

// texts reads a list, or a text with commas.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return slices.DeleteFunc(strings.Split(value, ","), func(one string) bool { return one == "" })
	case []any:
		var all []string
		for _, one := range value {
			if one, ok := one.(string); ok {
				all = append(all, one)
			}
		}
		return all
	}
	return nil
}

func number(value any) int {
	switch value := value.(type) {
	case float64:
		return int(value)
	case string:
		read, _ := strconv.Atoi(value)
		return read
	}
	return 0
}
