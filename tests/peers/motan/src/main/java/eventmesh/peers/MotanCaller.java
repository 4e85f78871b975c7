package eventmesh.peers;

import com.weibo.api.motan.common.URLParamType;
import com.weibo.api.motan.config.RefererConfig;
import com.weibo.api.motan.exception.MotanAbstractException;
import com.weibo.api.motan.rpc.Request;
import com.weibo.api.motan.rpc.Response;
import com.weibo.api.motan.rpc.RpcContext;
import com.weibo.api.motan.rpc.URL;
import com.weibo.api.motan.transport.Client;
import com.weibo.api.motan.transport.TransportException;
import com.weibo.api.motan.transport.netty4.NettyClient;
import com.weibo.api.motan.transport.support.DefaultRpcHeartbeatFactory;
import com.weibo.api.motan.util.RequestIdGenerator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A Motan 2 caller of Desk, version 1.0, driven by lines on stdin, each answered by one line on stdout: "greet TEXT",
 * "describe", "told NAME=VALUE..." (metadata of a call), "many COUNT", "beat". Arguments: HOST:PORT GROUP TIMEOUT_MS.
 */
public final class MotanCaller {
    private MotanCaller() {}

    public static void main(String[] args) throws Exception {
        RefererConfig<Desk> referer = new RefererConfig<>();
        referer.setInterface(Desk.class);
        referer.setGroup(args[1]);
        referer.setVersion("1.0");
        referer.setRequestTimeout(Integer.parseInt(args[2]));
        referer.setRetries(0);
        referer.setRegistry(MotanServer.local());
        referer.setProtocol(MotanServer.motan2());
        referer.setDirectUrl(args[0]);
        Desk desk = referer.getRef();
        System.out.println("READY");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(line.equals("beat") ? beat(args[0]) : answer(desk, line));
            System.out.flush();
        }
        System.exit(0);
    }

    private static String answer(Desk desk, String line) {
        try {
            String[] words = line.split(" ", 2);
            switch (words[0]) {
                case "greet":
                    return "OK " + desk.greet(words[1]);
                case "describe":
                    return "OK " + desk.describe(numbers(), new byte[70_000], 1L << 40);
                case "told":
                    for (String pair : words[1].split(" ")) {
                        RpcContext.getContext().setRpcAttachment(pair.split("=", 2)[0], pair.split("=", 2)[1]);
                    }
                    return "OK " + desk.told();
                case "many":
                    return many(desk, Integer.parseInt(words[1]));
                default:
                    return "ERROR unknown command " + words[0];
            }
        } catch (MotanAbstractException e) {
            String message = String.valueOf(e.getOriginMessage()).replace("\n", " ");
            return "ERROR " + e.getClass().getSimpleName() + " " + e.getErrorCode() + " " + message;
        } catch (RuntimeException e) {
            return "THROWN " + e.getClass().getName() + " " + String.valueOf(e.getMessage()).replace("\n", " ");
        }
    }

    /** Does what Motan does for a server that has failed too often: asks it whether it is there. */
    private static String beat(String address) {
        String[] parts = address.split(":");
        Map<String, String> parameters = new HashMap<>();
        parameters.put(URLParamType.codec.getName(), "motan2");
        parameters.put(URLParamType.requestTimeout.getName(), "20000");
        URL url = new URL("motan2", parts[0], Integer.parseInt(parts[1]), Desk.class.getName(), parameters);
        Client client = new NettyClient(url);
        client.open();
        Request beat = DefaultRpcHeartbeatFactory.getDefaultHeartbeatRequest(RequestIdGenerator.getRequestId());
        try {
            Response answer = client.request(beat);
            return answer.getRequestId() == beat.getRequestId() && answer.getException() == null ? "OK" : "ERROR";
        } catch (TransportException e) {
            return "ERROR " + e;
        } finally {
            client.close();
        }
    }

    /** Of classes that Hessian may look into. */
    private static Map<String, List<Integer>> numbers() {
        Map<String, List<Integer>> numbers = new HashMap<>();
        numbers.put("a", new ArrayList<>(List.of(1, 300)));
        return numbers;
    }

    /** Sixteen at once on the caller's connections. */
    private static String many(Desk desk, int count) {
        List<CompletableFuture<Integer>> parts = IntStream.range(0, 16)
                .mapToObj(part -> CompletableFuture.supplyAsync(() -> {
                    int right = 0;
                    for (int i = part; i < count; i += 16) {
                        right += desk.greet("n" + i).startsWith("hello n" + i + " from ") ? 1 : 0;
                    }
                    return right;
                }, command -> new Thread(command).start()))
                .collect(Collectors.toList());
        return "OK " + parts.stream().mapToInt(CompletableFuture::join).sum() + "/" + count;
    }
}
