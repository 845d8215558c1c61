// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// secretKey begins the keys of the peer relation's application bag that say where the application's secrets are:
// "secret.<label>" = URI. Only the leader may list the application's secrets, and every unit must find them. The keys
// belong to the Sessions: a Snapshot does not show them, so that no Diff removes them.
const secretKey = "secret."

func withoutSecretKeys(bag juju.Bag) juju.Bag {
	maps.DeleteFunc(bag, func(key, _ string) bool { return strings.HasPrefix(key, secretKey) })
	return bag
}

// readSecrets reads the secrets this unit or its application owns: those that Juju lists for this unit, and those that
// the leader has put into the peer relation's application bag.
func (s *Session) readSecrets(ctx context.Context, snap *juju.Snapshot) error {
	s.unlisted = nil
	owned, err := s.ownedSecrets(ctx)
	if err != nil {
		return err
	}
	snap.CanSecrets = s.secrets
	if !s.secrets {
		return nil
	}
	listed, err := s.listedSecrets(ctx)
	if err != nil {
		return err
	}
	s.unlisted = unlisted(owned, listed)
	for _, label := range slices.Sorted(maps.Keys(listed)) {
		if _, found := owned[label]; !found {
			owned[label] = juju.Secret{URI: listed[label], Label: label, Owner: juju.OwnedByApplication}
		}
	}
	for _, label := range slices.Sorted(maps.Keys(owned)) {
		secret := owned[label]
		if secret.Content, err = s.content(ctx, secret.URI); err != nil {
			return fmt.Errorf("cannot read the secret labelled %q: %w", label, err)
		}
		snap.Secrets = append(snap.Secrets, secret)
	}
	return nil
}

// ownedSecrets lists the secrets that this unit may manage, by label: its own, and the application's when it leads.
// Secrets without a label are none of this charm's. When this Juju turns out to have no secrets, that is remembered.
func (s *Session) ownedSecrets(ctx context.Context) (map[string]juju.Secret, error) {
	if !s.secrets {
		return nil, nil
	}
	var ids []string
	if err := s.read(ctx, &ids, "secret-ids"); unknownCommand(err) || refused(err, "not supported", "not implemented") {
		s.secrets = false
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	owned := map[string]juju.Secret{}
	for _, id := range ids {
		var info map[string]struct {
			Label string           `json:"label"`
			Owner juju.SecretOwner `json:"owner"`
		}
		if err := s.read(ctx, &info, "secret-info-get", "--", id); refused(err, "not found") {
			continue // removed since it was listed
		} else if err != nil {
			return nil, err
		}
		for id, secret := range info {
			if secret.Label != "" {
				owned[secret.Label] = juju.Secret{URI: uri(id), Label: secret.Label, Owner: secret.Owner}
			}
		}
	}
	return owned, nil
}

// uri gives the one form in which this program names an own secret, "secret:<id>": listings give the bare ID, and
// secret-add prints "secret:<id>" or "secret://<model>/<id>", as the version likes.
func uri(id string) string {
	return "secret:" + id[strings.LastIndexAny(id, ":/")+1:]
}

// listedSecrets gives the URIs, by label, that the peer relation's application bag holds.
func (s *Session) listedSecrets(ctx context.Context) (map[string]string, error) {
	peers, found, err := s.peers(ctx)
	if err != nil || !found {
		return nil, err
	}
	bag, err := s.bag(ctx, peers, juju.ApplicationOf(s.env.Unit), "--app")
	if err != nil {
		return nil, err
	}
	uris := map[string]string{}
	for key, value := range bag {
		if label, is := strings.CutPrefix(key, secretKey); is {
			uris[label] = value
		}
	}
	return uris, nil
}

// peers finds the peer relation; false where the charm has none or Juju has not made it yet.
func (s *Session) peers(ctx context.Context) (juju.Relation, bool, error) {
	for _, endpoint := range s.env.Endpoints {
		if endpoint.Role != juju.Peers {
			continue
		}
		var ids []string
		if err := s.read(ctx, &ids, "relation-ids", endpoint.Name); err != nil {
			return juju.Relation{}, false, fmt.Errorf("cannot list the relations of endpoint %q: %w", endpoint.Name, err)
		}
		for _, key := range ids {
			relation := juju.Relation{Endpoint: endpoint}
			if _, err := fmt.Sscanf(key, endpoint.Name+":%d", &relation.ID); err == nil {
				return relation, true, nil
			}
		}
	}
	return juju.Relation{}, false, nil
}

// unlisted gives the application's secrets that other units cannot find yet.
func unlisted(owned map[string]juju.Secret, listed map[string]string) map[string]string {
	missing := map[string]string{}
	for label, secret := range owned {
		if secret.Owner == juju.OwnedByApplication && listed[label] != secret.URI {
			missing[label] = secret.URI
		}
	}
	return missing
}

// content reads the newest revision; nil when this unit may not read it, or not any more.
func (s *Session) content(ctx context.Context, uri string) (map[string]string, error) {
	var content map[string]string
	err := s.read(ctx, &content, "secret-get", "--refresh", "--", uri)
	if refused(err, "permission denied", "not found", "not valid") {
		return nil, nil
	}
	return content, err
}

// readGiven reads the operator's secrets that options name, each by a command of its own: whatever Juju answers to it is
// about that secret, and harms neither another nor the snapshot.
func (s *Session) readGiven(ctx context.Context, snap *juju.Snapshot) error {
	return snap.Give(func(uri string) (juju.Given, error) {
		var content map[string]string
		err := s.read(ctx, &content, "secret-get", "--refresh", "--", uri)
		switch {
		case err == nil:
			return juju.Given{Content: content}, nil
		case errors.Is(err, juju.ErrUnreachable):
			return juju.Given{}, err
		case refused(err, "permission denied"):
			return juju.NotGranted(uri, juju.ApplicationOf(s.env.Unit)), nil
		case refused(err, "not found"):
			return juju.NoSuchSecret(uri), nil
		}
		return juju.Unreadable(uri, err.Error()), nil
	})
}

// writeSecrets creates and updates secrets, and gives the URIs of the application's among them by label. A secret to be
// created whose label is taken is that secret if their content is the same. Another content is the work of another leader,
// who was not seen when this was decided, and stays.
func (s *Session) writeSecrets(ctx context.Context, secrets []juju.Secret) (map[string]string, error) {
	uris := map[string]string{}
	if len(secrets) == 0 {
		return uris, nil
	}
	owned, err := s.ownedSecrets(ctx)
	if err != nil {
		return nil, err
	}
	if !s.secrets {
		return nil, errors.New("cannot write secrets: this Juju has none, it must be 3.0 or later")
	}
	for _, secret := range secrets {
		if secret.Owner == "" {
			secret.Owner = juju.OwnedByApplication // Juju's default
		}
		if secret.URI == "" && owned[secret.Label].URI != "" {
			secret.URI, err = s.sameSecret(ctx, owned[secret.Label].URI, secret)
		} else {
			secret.URI, err = s.writeSecret(ctx, secret)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot write the secret labelled %q: %w", secret.Label, err)
		}
		if secret.Owner == juju.OwnedByApplication {
			uris[secret.Label] = secret.URI
		}
	}
	return uris, nil
}

// sameSecret gives the URI of the secret that has the label of one to be created, unless its content is another.
func (s *Session) sameSecret(ctx context.Context, uri string, secret juju.Secret) (string, error) {
	content, err := s.content(ctx, uri)
	if err != nil {
		return "", err
	}
	if !maps.Equal(content, secret.Content) {
		return "", fmt.Errorf("%w: it was made meanwhile", juju.ErrMoved)
	}
	return uri, nil
}

// writeSecret gives one secret its content and returns its URI.
func (s *Session) writeSecret(ctx context.Context, secret juju.Secret) (string, error) {
	path, remove, err := s.contentFile(secret.Content)
	if err != nil {
		return "", err
	}
	defer remove()
	if secret.URI == "" {
		out, err := s.run(ctx, nil, "secret-add", "--label", secret.Label, "--owner", string(secret.Owner), "--file", path)
		if err == nil {
			return uri(strings.TrimSpace(string(out))), nil
		}
		if !refused(err, "already exists") {
			return "", leadership(err)
		}
		owned, listErr := s.ownedSecrets(ctx)
		if listErr != nil || owned[secret.Label].URI == "" {
			return "", errors.Join(err, listErr)
		}
		return s.sameSecret(ctx, owned[secret.Label].URI, secret)
	}
	_, err = s.run(ctx, nil, "secret-set", "--file", path, "--", secret.URI)
	return secret.URI, leadership(err)
}

// contentFile writes a secret's content where only this user and the agent, which is root, can read it. The agent reads
// it while the command runs; remove deletes it. A file is the only way: the secret tools take no standard input, and
// arguments show in Juju's trace log.
func (s *Session) contentFile(content map[string]string) (path string, remove func(), err error) {
	text, err := json.Marshal(content)
	if err != nil {
		return "", nil, fmt.Errorf("cannot encode the content: %w", err)
	}
	dir := s.env.TempDir
	if dir == "" {
		dir = "/tmp"
	}
	file, err := os.CreateTemp(dir, "signet-") // 0600
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a temporary file: %w", err)
	}
	remove = func() { _ = os.Remove(file.Name()) }
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		remove()
		return "", nil, fmt.Errorf("cannot write a temporary file: %w", err)
	}
	return file.Name(), remove, nil
}
