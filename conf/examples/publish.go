// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"time"
)

const relay = "http://127.0.0.1:8081"

var client = &http.Client{Timeout: 5 * time.Second}

type published struct{ ID string }

func publish(channel string, data any) (answer published, err error) {
	body, err := json.Marshal(data)
	if err != nil {
		return answer, err
	}
	response, err := client.Post(relay+"/pub/"+url.PathEscape(channel), "application/json", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("%s: %s", channel, response.Status)
	}
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

func main() {
	answer, err := publish("chat:room1", map[string]string{"text": "from Go"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.ID)
}
