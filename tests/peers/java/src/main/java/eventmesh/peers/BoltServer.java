package eventmesh.peers;

import com.alipay.remoting.AsyncContext;
import com.alipay.remoting.BizContext;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.AsyncUserProcessor;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A SOFABolt service: answers "hello NAME", sleeps on "sleep MS", throws on "fail", and on "times TEXT" tells how often
 * it has received TEXT. Arguments: PORT.
 */
public final class BoltServer {
    private BoltServer() {}

    public static void main(String[] args) throws Exception {
        Map<String, Integer> received = new ConcurrentHashMap<>();
        RpcServer server = new RpcServer("127.0.0.1", Integer.parseInt(args[0]));
        server.registerUserProcessor(new AsyncUserProcessor<String>() {
            @Override
            public void handleRequest(BizContext context, AsyncContext reply, String request) {
                if (request.startsWith("times ")) {
                    reply.sendResponse(String.valueOf(received.getOrDefault(request.substring(6), 0)));
                    return;
                }
                received.merge(request, 1, Integer::sum);
                if (request.startsWith("sleep ")) {
                    try {
                        Thread.sleep(Long.parseLong(request.substring(6)));
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }
                if (request.equals("fail")) {
                    throw new IllegalStateException("asked to fail");
                }
                reply.sendResponse("hello " + request);
            }

            @Override
            public String interest() {
                return String.class.getName();
            }
        });
        server.startup();
        System.out.println("READY " + args[0]);
        System.out.flush();
        while (System.in.read() >= 0) {
            // Lives until its parent closes stdin.
        }
        server.shutdown();
        System.exit(0);
    }
}
