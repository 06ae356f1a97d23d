# SPDX-License-Identifier: Apache-2.0
require "json"
require "net/http"
require "erb"

URL = "http://127.0.0.1:8081"

def publish(channel, data)
  answer = Net::HTTP.post(URI("#{URL}/pub/#{ERB::Util.url_encode(channel)}"), JSON.generate(data),
                          "Content-Type" => "application/json")
  answer.value # raises unless it is a success
  JSON.parse(answer.body)
end

puts publish("chat:room1", { text: "from Ruby" })["id"]
