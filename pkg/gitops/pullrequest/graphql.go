package pullrequest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Types of GraphQL errors; they come with status 200.
const (
	graphqlLimited   = "RATE_LIMITED"
	graphqlForbidden = "FORBIDDEN"
	graphqlScopes    = "INSUFFICIENT_SCOPES"
	graphqlNotFound  = "NOT_FOUND"
)

type graphqlError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// graphql makes one GraphQL call. Where its own limit is used up it waits like
// any other call: the transport knows from the answer until when.
func (c *Client) graphql(ctx context.Context, query string, variables map[string]any, data any) error {
	permission := "pull_requests=write"
	if strings.HasPrefix(query, "query") {
		ctx = context.WithValue(ctx, onlyReads{}, true)
		permission = "pull_requests=read and issues=read"
	}
	for attempt := 1; ; attempt++ {
		q, err := c.client.NewRequest(http.MethodPost, c.address.GraphQL.String(), map[string]any{"query": query, "variables": variables})
		if err != nil {
			return err
		}
		answer := struct {
			Data   any            `json:"data"`
			Errors []graphqlError `json:"errors"`
		}{Data: data}
		if _, err := c.client.Do(ctx, q, &answer); err != nil {
			var response *github.ErrorResponse
			if errors.As(err, &response) && statusOf(err) == http.StatusForbidden {
				return fromGraphQL(graphqlError{graphqlForbidden, response.Message}, c.address.GraphQL.Path, permission)
			}
			return err
		}
		if len(answer.Errors) == 0 {
			return nil
		}
		if answer.Errors[0].Type != graphqlLimited || attempt == 2 {
			return fromGraphQL(answer.Errors[0], c.address.GraphQL.Path, permission)
		}
	}
}

func fromGraphQL(e graphqlError, path, permission string) error {
	switch e.Type {
	case graphqlLimited:
		return &waitError{"GitHub's limit of GraphQL calls is used up: " + fleet.ErrUnavailable.Error() + ", the next run continues"}
	case graphqlForbidden, graphqlScopes:
		return &apiError{
			text: "the token lacks a permission: POST " + path + " needs " + permission + " (" + e.Message + "): " + fleet.ErrDenied.Error(),
			kind: fleet.ErrDenied, status: http.StatusForbidden,
		}
	case graphqlNotFound:
		return &apiError{
			text: "not there, or the token may not see it (POST " + path + ": " + e.Message + "): " + fleet.ErrNotFound.Error(),
			kind: fleet.ErrNotFound, status: http.StatusNotFound,
		}
	}
	return &apiError{text: "GitHub says: " + e.Message, status: http.StatusUnprocessableEntity}
}
