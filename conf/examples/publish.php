<?php
// SPDX-License-Identifier: Apache-2.0
const URL = 'http://127.0.0.1:8081';

function publish(string $channel, mixed $data): array
{
    $answer = file_get_contents(URL . '/pub/' . rawurlencode($channel), false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode($data),
        'timeout' => 5,
    ]]));
    if ($answer === false) {
        throw new RuntimeException("could not publish to $channel");
    }
    return json_decode($answer, true);
}

echo publish('chat:room1', ['text' => 'from PHP'])['id'], "\n";
