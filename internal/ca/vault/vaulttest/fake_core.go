// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl"
)

// An answer is what a call is answered with.
type answer struct {
	status   int // zero for 200, or 204 where there is nothing to say
	data     map[string]any
	auth     map[string]any
	wrap     map[string]any
	warnings []string
	errors   []string // of a status that is none of success
	bare     []byte   // in place of JSON
	kind     string   // of bare: its media type
}

func refuse(status int, messages ...string) answer {
	return answer{status: status, errors: append([]string{}, messages...)}
}

// failure is how Vault words what it did not expect.
func failure(status int, message string) answer {
	return refuse(status, "1 error occurred:\n\t* "+message+"\n\n")
}

// absent is the answer to a question for what is not there.
func absent() answer { return refuse(http.StatusNotFound) }

func (a answer) write(w http.ResponseWriter) {
	var body any
	switch {
	case a.kind != "":
		w.Header().Set("Content-Type", a.kind)
		if len(a.bare) == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write(a.bare)
		return
	case a.errors != nil:
		body = map[string]any{"errors": a.errors}
	case a.status == 0 && a.data == nil && a.auth == nil && a.wrap == nil && a.warnings == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		body = map[string]any{
			"request_id": rand.Text(), "lease_id": "", "renewable": false, "lease_duration": 0,
			"data": a.data, "wrap_info": a.wrap, "warnings": a.warnings, "auth": a.auth,
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is all made here
	}
	w.Header().Set("Content-Type", "application/json")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(append(text, '\n'))
}

// carry carries out one call, where it may be.
func (f *Fake) carry(asked *call) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sealed {
		if asked.token != "" && f.age == Old {
			return refuse(http.StatusServiceUnavailable, "error performing token check: Vault is sealed")
		}
		return refuse(http.StatusServiceUnavailable, "Vault is sealed")
	}
	mount, engine, within := f.engine(asked.path)
	if done, open := f.open(asked); open {
		return done
	}
	if engine == nil || !engine.open(asked.method, within) {
		if refused, ok := f.admit(asked); !ok {
			return refused
		}
	}
	var done answer
	switch {
	case engine != nil:
		done = engine.carry(asked.method, mount, within, asked.body)
	case strings.HasPrefix(asked.path, "sys/"):
		done = f.system(asked)
	case strings.HasPrefix(asked.path, "auth/token/"):
		done = f.tokenCall(asked)
	case strings.HasPrefix(asked.path, "auth/"):
		done = f.roleCall(asked)
	default:
		done = f.nowhere(asked.path)
	}
	if asked.wrap != "" && (done.data != nil || done.auth != nil) {
		return f.wrap(asked, done)
	}
	return done
}

func (f *Fake) nowhere(path string) answer {
	if f.age == New {
		return refuse(http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
	}
	return refuse(http.StatusNotFound, "no handler for route '"+path+"'")
}

// engine finds the engine that a path leads to, and what is left of the path.
func (f *Fake) engine(path string) (mount string, found *engine, within string) {
	for name, one := range f.engines {
		if rest, ok := strings.CutPrefix(path, name+"/"); ok {
			return name, one, rest
		}
	}
	return "", nil, ""
}

// admit says who may not call: without a token, with one that has ended, or beyond what its policies say.
func (f *Fake) admit(asked *call) (answer, bool) {
	if asked.token == "" {
		if f.age == New {
			return refuse(http.StatusForbidden, "permission denied"), false
		}
		return refuse(http.StatusBadRequest, "missing client token"), false
	}
	token := f.alive(asked.token)
	if token == nil {
		if f.age == New {
			return refuse(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"), false
		}
		return refuse(http.StatusForbidden, "permission denied"), false
	}
	if token.uses > 0 {
		if token.uses--; token.uses == 0 {
			delete(f.tokens, token.id)
		}
	}
	if !f.may(token, asked.method, asked.path) {
		return failure(http.StatusForbidden, "permission denied"), false
	}
	return answer{}, true
}

// A rule is what a policy says about paths.
type rule struct {
	path string
	can  []string
}

// parsePolicy reads a policy in HCL.
func parsePolicy(text string) ([]rule, error) {
	var policy struct {
		Path map[string]struct {
			Capabilities []string `hcl:"capabilities"`
		} `hcl:"path"`
	}
	if err := hcl.Decode(&policy, text); err != nil {
		return nil, err
	}
	var rules []rule
	for path, rest := range policy.Path {
		rules = append(rules, rule{path, rest.Capabilities})
	}
	return rules, nil
}

// matches reports whether a rule is about a path, and how closely: "+" stands for one segment, and "*" at the end for all
// that may follow.
func (r rule) matches(path string) (int, bool) {
	prefix, open := strings.CutSuffix(r.path, "*")
	want, have := strings.Split(prefix, "/"), strings.Split(path, "/")
	if len(have) < len(want) || !open && len(have) != len(want) {
		return 0, false
	}
	for i, segment := range want {
		last := open && i == len(want)-1
		if segment != "+" && segment != have[i] && (!last || !strings.HasPrefix(have[i], segment)) {
			return 0, false
		}
	}
	if !open && !strings.Contains(r.path, "+") {
		return 1 << 20, true
	}
	return len(r.path), true
}

// may reports whether a token may call a path. The closest rule holds, of all policies together; one that denies wins.
func (f *Fake) may(token *token, method, path string) bool {
	if slices.Contains(token.policies, "root") {
		return true
	}
	can := f.capabilities(token, path)
	if method == "LIST" && len(can) == 0 {
		can = f.capabilities(token, strings.TrimSuffix(path, "/")+"/")
	}
	if slices.Contains(can, "deny") {
		return false
	}
	if _, engine, within := f.engine(path); engine != nil && engine.guarded(method, within) && !slices.Contains(can, "sudo") {
		return false
	}
	name := map[string]string{http.MethodPut: "update", http.MethodGet: "read", http.MethodDelete: "delete", "LIST": "list"}[method]
	return slices.Contains(can, name)
}

func (f *Fake) capabilities(token *token, path string) []string {
	var can []string
	closest := 0
	for _, policy := range token.policies {
		for _, rule := range f.rules[policy] {
			switch near, ok := rule.matches(path); {
			case !ok || near < closest:
			case near > closest:
				closest, can = near, slices.Clone(rule.can)
			default:
				can = append(can, rule.can...)
			}
		}
	}
	return can
}

// system is what the operator does, and what anybody may learn.
func (f *Fake) system(asked *call) answer {
	kind, name, _ := strings.Cut(strings.TrimPrefix(asked.path, "sys/"), "/")
	switch {
	case kind == "mounts" && f.engines[name] != nil:
		return refuse(http.StatusBadRequest, f.taken(name, "existing mount at "+name+"/"))
	case kind == "mounts" && asked.method == http.MethodPut:
		life := monthLong
		if config, ok := asked.body["config"].(map[string]any); ok {
			if given, err := duration(config["max_lease_ttl"]); err == nil && given > 0 {
				life = given
			}
		}
		f.engines[name] = newEngine(f.age, life, func() time.Time { return f.now() })
	case kind == "auth" && asked.method == http.MethodGet:
		mounts := map[string]any{}
		for mount := range f.logins {
			mounts[mount+"/"] = map[string]any{"type": "approle"}
		}
		return answer{data: mounts}
	case kind == "auth" && f.logins[name] != nil:
		return refuse(http.StatusBadRequest, f.taken(name, "path is already in use"))
	case kind == "auth":
		f.logins[name] = map[string]*appRole{}
	case kind == "policy", kind == "policies":
		name = strings.TrimPrefix(name, "acl/")
		rules, err := parsePolicy(text(asked.body, "policy"))
		if err != nil {
			return refuse(http.StatusBadRequest, "failed to parse policy: "+err.Error())
		}
		f.rules[name] = rules
	case asked.path == "sys/wrapping/wrap":
		return answer{data: asked.body}
	case asked.path == "sys/capabilities-self":
		can := map[string]any{}
		for _, path := range texts(asked.body["paths"]) {
			have := f.capabilities(f.tokens[asked.token], path)
			if len(have) == 0 {
				have = []string{"deny"}
			}
			can[path] = have
		}
		return answer{data: can}
	default:
		return failure(http.StatusNotFound, "unsupported path")
	}
	return answer{}
}

// taken is how Vault says that there is something at a path already.
func (f *Fake) taken(name, inOld string) string {
	if f.age == New {
		return "path is already in use at " + name + "/"
	}
	return inOld
}
